"""What has been kept long enough: artifacts that nothing needs any more, checkpoints and downloads left behind.

Kept are young artifacts, each week's feedback in use, the datasets and models in use of the newest weeks, every
verdict and decision, every policy that was ever promoted, and all that any of these was made from.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from upath import UPath

from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.storage.artifacts import CARD, Artifact, ArtifactStore
from rlhf_assets.storage.card import IN_USE
from rlhf_assets.storage.home import home
from rlhf_assets.storage.promotions import PROMOTION
from rlhf_assets.storage.settings import RetentionSettings

FEEDBACK = (  # of which later weeks are made, however old it is, and its report
    "raw_message_feedback",
    "raw_step_feedback",
    "clean_feedback",
    "quarantined_feedback",
    "feedback_audit",
)


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go, how many bytes that frees, and what it is."""

    path: UPath | Path
    size: int
    what: str


def leftovers(store: ArtifactStore, settings: RetentionSettings, now: datetime | None = None) -> list[Leftover]:
    """Everything that may go. Raises RlhfError when a card cannot be read, for then nobody knows what it needs."""
    now = now or datetime.now(UTC)
    artifacts = {made.relative_path: made for asset in store.assets() for made in store.all(asset)}
    kept = needed(store, artifacts, settings, now)
    gone = [
        Leftover(made.folder, size_of(made.folder), f"{made.card.status} {asset_and_week(made)}")
        for path, made in artifacts.items()
        if path not in kept
    ]
    hashes = {artifacts[path].card.content_hash for path in kept}
    downloads = [folder for folder in listed(home() / "downloads") if folder.name not in hashes]
    left = now - timedelta(days=settings.checkpoint_days)
    checkpoints = [file for folder in listed(home() / "checkpoints") for file in listed(folder)]
    return [
        *gone,
        *(Leftover(folder, size_of(folder), "download") for folder in downloads),
        *(Leftover(file, size_of(file), "checkpoint") for file in checkpoints if touched(file) < left),
    ]


def needed(
    store: ArtifactStore, artifacts: dict[str, Artifact], settings: RetentionSettings, now: datetime
) -> set[str]:
    """The paths of all artifacts that stay."""
    if not artifacts:
        return set()
    young = now - timedelta(days=settings.artifact_days)
    newest_week = max(made.card.week for made in artifacts.values())
    recent = earlier(newest_week, settings.model_weeks - 1)
    roots = [path for path, made in artifacts.items() if made.card.created_at > young]
    for asset in store.assets():
        for week in store.weeks(asset):
            used = store.newest(asset, week, IN_USE)
            if used and (week >= recent or asset in FEEDBACK):
                roots.append(used.relative_path)
    verdicts = {path for path, made in artifacts.items() if made.card.asset == PROMOTION}
    roots += [path for path in verdicts if artifacts[path].card.status == "promoted"]
    return verdicts | set(with_parents(artifacts, roots))


def with_parents(artifacts: dict[str, Artifact], roots: Iterable[str]) -> Iterator[str]:
    """These artifacts and all that they were made from, as far as it is there."""
    waiting, seen = list(roots), set[str]()
    while waiting:
        path = waiting.pop()
        if path in artifacts and path not in seen:
            seen.add(path)
            waiting += [parent.path for parent in artifacts[path].card.parents]
            yield path


def remove(leftover: Leftover) -> None:
    """Remove it; an artifact's card first, so that no reader ever meets half of one."""
    if isinstance(leftover.path, UPath) and leftover.path.protocol:
        (leftover.path / CARD).unlink(missing_ok=True)
        leftover.path.fs.rm(leftover.path.path, recursive=True)
        return
    path = Path(leftover.path.path if isinstance(leftover.path, UPath) else leftover.path)
    if path.is_dir():
        (path / CARD).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def asset_and_week(artifact: Artifact) -> str:
    return f"{artifact.card.asset} of week {artifact.card.week}"


def size_of(path: UPath | Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def touched(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
