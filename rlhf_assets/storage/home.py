"""Where this project keeps its own files: the embedded database, artifacts, logs."""

import hashlib
import os
from pathlib import Path


def home() -> Path:
    """`RLHF_HOME`, else `.rlhf` in the current folder; absolute."""
    return Path(os.environ.get("RLHF_HOME") or ".rlhf").absolute()


def artifact_root() -> str:
    """`RLHF_ARTIFACTS`, a folder or an fsspec URL, else `artifacts` in the home."""
    return os.environ.get("RLHF_ARTIFACTS") or str(home() / "artifacts")


def checkpoint_file(asset: str, week: str, settings: str) -> Path:
    """Where the training of that asset and week with these settings notes how far it is; weights and numbers, no text.

    An experiment beside the week's own training has its own.
    """
    return home() / "checkpoints" / asset / f"{week}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}.pt"
