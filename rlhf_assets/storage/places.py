"""Paths out of cards, pointers and commands, which may not lead out of the artifacts' root."""

from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator
from upath import UPath

from rlhf_assets.errors import RlhfError


def below(path: str) -> str:
    """`path` if it is relative and stays below where it begins, else ValueError."""
    pure = PurePosixPath(path)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "://" in path or "\0" in path:
        raise ValueError(f"{path!r} leads out of the artifacts")
    return path


Below = Annotated[str, AfterValidator(below)]


def inside(root: UPath, path: str) -> UPath:
    """Where `path` lies below the root; RlhfError where that, or a link on the way there, leads out of it."""
    try:
        place = root / below(path)
    except ValueError as error:
        raise RlhfError(f"{error}, which are in {root}") from None
    if not (place.protocol or is_inside(Path(root.path), Path(place.path))):
        raise RlhfError(f"{place} leads out of {root} by a link; let RLHF_ARTIFACTS name the folder where they are")
    return place


def is_inside(root: Path, place: Path) -> bool:
    """Whether `place` lies below the root with all links followed."""
    return place.resolve().is_relative_to(root.resolve())
