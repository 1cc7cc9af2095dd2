"""Where a training stands, in one file, so that a killed one goes on to the same numbers."""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
from torch import nn

from rlhf_assets.reward.lessons import Lessons

VERSION = "2"  # of what a training does and of what a checkpoint holds; raise it where either changes


def fingerprint(start: nn.Module, *made_from: Lessons | str) -> str:
    """What a training hangs on: two with one fingerprint are the same training."""
    found = hashlib.sha256(f"{VERSION} {torch.__version__} {transformers.__version__}".encode())
    for weight in start.parameters():
        found.update(weight.detach().cpu().numpy().tobytes())
    for one in made_from:
        if isinstance(one, str):
            found.update(one.encode())
            continue
        for frame in (one.texts, one.votes):
            found.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
        for values in (one.better, one.worse, one.pair_weight):
            found.update(values.tobytes())
    return found.hexdigest()


def keep(file: Path, training: str, state: dict[str, Any]) -> None:
    """Write `state` as that training's, whole or not at all, whoever else writes there at the same time."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    torch.save({"training": training, **state}, beside)
    beside.replace(file)


def drop(file: Path) -> None:
    """Remove what was kept there, and what killed trainings were writing."""
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink(missing_ok=True)


def kept(file: Path, training: str) -> dict[str, Any] | None:
    """The state last kept there; None where there is none, a damaged one, or one of another training."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:  # torch itself reads changed bytes without a word
                return None
        state = torch.load(file, map_location="cpu", weights_only=True)
        return state if state["training"] == training else None
    except Exception:  # damage shows as almost any error
        return None
