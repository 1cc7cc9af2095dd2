"""What a benchmark has finished, in a file each, with what it is made of; it is read and not made again."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("rlhf_assets.benchmarks")


def cell(file: Path, made_of: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` found, now or in an earlier run on the same things; both are JSON."""
    made_of = json.loads(json.dumps(made_of))
    if file.exists() and (found := json.loads(file.read_text()))["made_of"] == made_of:
        return found
    log.info("%s: %s", file.parent.name, file.stem)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps({"made_of": made_of, **make()}))
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
