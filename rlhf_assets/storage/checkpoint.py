"""Where a training stands, in one file, so that a killed one goes on to the same numbers."""

import logging
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from rlhf_assets.errors import RlhfError, first_line

log = logging.getLogger(__name__)


def keep(file: Path, training: str, state: dict[str, Any]) -> None:
    """Write `state` as that training's, whole or not at all, whoever else writes there at the same time.

    Raises RlhfError where the file cannot be written, as on a full disk; what stood there before still does.
    """
    import torch

    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        torch.save({"training": training, **state}, beside)
        beside.replace(file)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):  # not of torch's own writer
            raise
        raise RlhfError(
            f"cannot keep how far the training is in {file} ({first_line(error)}); is the disk full? Free some space "
            "(`rlhf gc` may help) and start it again: it goes on from what was kept before"
        ) from error


def drop(file: Path) -> None:
    """Remove what was kept there, and what killed trainings were writing."""
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink(missing_ok=True)


def kept(file: Path, training: str) -> dict[str, Any] | None:
    """The state last kept there; None where there is none and, with a warning, where it is of no use."""
    import torch

    if not file.exists():
        return None
    state: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is None:  # torch itself reads changed bytes without a word
                state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # damage shows as almost any error
        state = {}
    if state.get("training") == training:
        return state
    what = "of other data, models, settings, versions or precision" if state else "damaged"
    log.warning("the checkpoint %s is %s; the training starts anew", file, what)
    return None
