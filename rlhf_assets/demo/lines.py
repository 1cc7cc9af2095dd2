"""Gzipped JSON lines, the format of the shipped demo files."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path


def read_lines(path: Path) -> Iterator[dict]:
    """The objects of a gzipped JSON-lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def write_lines(path: Path, rows: list[dict]) -> None:
    """Write them reproducibly (no time stamp in the archive), complete or not at all."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".partial")
    with beside.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    beside.rename(path)
