"""A reward model trained by several processes on one machine."""

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from rlhf_assets.compute import Compute
from rlhf_assets.reward.inputs import TEXTS
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.torchrun import run_together, take_part
from rlhf_assets.reward.training import TrainingOutcome, train_reward

LEARNT = [*TEXTS, "kind", "score", "is_thumb", "user_id", "inverse_propensity"]  # the columns that training reads


def train_together(
    processes: int,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    settings: RewardSettings,
    compute: Compute,
    folder: Path,
    checkpoint: Path | None = None,
) -> TrainingOutcome:
    """`train_reward` in so many processes, in this one where it is one; the weights are the same up to rounding.

    Raises RlhfError where `train_reward` and `run_together` do.
    """
    if processes == 1:
        return train_reward(train, validation, settings, compute, folder, checkpoint=checkpoint)
    told = {
        "settings": settings.model_dump(),
        "compute": asdict(compute),
        "folder": str(folder.absolute()),
        "checkpoint": str(checkpoint.absolute()) if checkpoint else None,
    }
    with tempfile.TemporaryDirectory(dir=folder.parent) as job:
        for name, votes in (("train", train), ("validation", validation)):
            votes[votes.columns.intersection(LEARNT)].to_parquet(Path(job) / f"{name}.parquet")
        return TrainingOutcome(**run_together(processes, __name__, Path(job), told, compute))


def part(job: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What each of the processes does."""
    train, validation = (pd.read_parquet(job / f"{name}.parquet") for name in ("train", "validation"))
    settings, compute = RewardSettings(**told["settings"]), Compute(**told["compute"])
    checkpoint = Path(told["checkpoint"]) if told["checkpoint"] else None
    outcome = train_reward(train, validation, settings, compute, Path(told["folder"]), checkpoint=checkpoint)
    return asdict(outcome)


if __name__ == "__main__":
    take_part(Path(sys.argv[1]), part)
