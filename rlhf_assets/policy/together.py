"""PPO from a reward model to a policy, all by their folders, by one process or by several on one machine."""

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from rlhf_assets.compute import Compute
from rlhf_assets.policy.ppo import Judge, train_ppo
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.reward.processes import Processes
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.torchrun import run_together, take_part

ASKED = ["prompt_id", "query", "context", "system_prompt"]  # the columns that training reads


def train_ppo_together(
    processes: int,
    *,
    sft: Path,
    reward: Path,
    prompts: pd.DataFrame,
    judge: Path | None,
    choice: pd.DataFrame,
    settings: PpoSettings,
    compute: Compute,
    folder: Path,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> dict[str, Any]:
    """`train_ppo` with the models of these folders; the weights of several processes are one's up to rounding.

    choice: the prompts on which the judge, where there is one, chooses the round. Raises RlhfError where `train_ppo`
    and `run_together` do.
    """
    told = {
        "settings": settings.model_dump(),
        "compute": asdict(compute),
        "sft": str(sft.absolute()),
        "reward": str(reward.absolute()),
        "judge": str(judge.absolute()) if judge else None,
        "folder": str(folder.absolute()),
        "checkpoint": str(checkpoint.absolute()) if checkpoint else None,
        "made_from": made_from,
    }
    with tempfile.TemporaryDirectory(dir=folder.parent) as job:
        for name, asked in (("prompts", prompts), ("choice", choice)):
            asked[ASKED].to_parquet(Path(job) / f"{name}.parquet")
        if processes == 1:
            return part(Path(job), told)
        return run_together(processes, __name__, Path(job), told, compute)


def part(job: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What each of the processes does."""
    compute, choice = Compute(**told["compute"]), pd.read_parquet(job / "choice.parquet")
    Processes.here(compute.device)  # gives each its GPU, before any model is loaded on one
    reward = RewardScorer(told["reward"], compute)
    return train_ppo(
        told["sft"],
        pd.read_parquet(job / "prompts.parquet"),
        reward.score,
        PpoSettings(**told["settings"]),
        compute,
        Path(told["folder"]),
        Judge(RewardScorer(told["judge"], compute).score, choice) if told["judge"] else None,
        reward.score,
        Path(told["checkpoint"]) if told["checkpoint"] else None,
        told["made_from"],
    )


if __name__ == "__main__":
    take_part(Path(sys.argv[1]), part)
