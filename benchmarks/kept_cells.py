"""What a benchmark has finished, in a file each, with what it is made of; it is read and not made again."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("rlhf_assets.benchmarks")


def cell(file: Path, made_of: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` found, now or in an earlier run on the same things; both are JSON.

    The file's name gets a few digits of what it is made of: a short run beside a long one keeps both.
    """
    told = json.dumps(made_of)
    file = file.with_name(f"{file.stem}-{hashlib.sha256(told.encode()).hexdigest()[:8]}.json")
    if file.exists():
        return json.loads(file.read_text())
    log.info("%s: %s", file.parent.name, file.stem)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps({"made_of": json.loads(told), **make()}))
    beside.rename(file)
    return json.loads(file.read_text())


def folder(path: Path, make: Callable[[Path], object]) -> Path:
    """`path`, filled by `make` if an earlier run has not finished it."""
    if not path.exists():
        log.info("%s: %s", path.parent.name, path.name)
        beside = path.with_name(f"{path.name}.new")
        shutil.rmtree(beside, ignore_errors=True)  # of a run that was stopped
        beside.mkdir(parents=True)
        make(beside)
        beside.rename(path)
    return path
