"""What assets leave behind: `<root>/<asset>/<week>/<run id>/…`, under a folder or an fsspec URL.

`card.json` is written last: it is the commit and the truth about the files beside it. A folder without one does not
exist for any reader. Nothing is overwritten; a second attempt of a run gets `<run id>-2`.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from upath import UPath

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.card import FIT_FOR_USE, Card, Parent, Status
from rlhf_assets.storage.home import home
from rlhf_assets.storage.places import inside, is_inside

if TYPE_CHECKING:
    import pandas as pd

CARD = "card.json"
DRAFTS = ".drafts"
LEFTOVER_SECONDS = 3 * 24 * 3600  # longer than any run: one from a shell has no limit where no daemon runs


class Artifact:
    """A committed artifact."""

    def __init__(self, root: UPath, folder: UPath, card: Card) -> None:
        self.root, self.folder, self.card = root, folder, card

    def path(self, name: str) -> UPath:
        """Where the file `name` lies; RlhfError when the card names no such file."""
        if name not in self.card.files:
            raise RlhfError(f"{self.folder} holds no {name}; it holds {', '.join(self.card.files) or 'nothing'}")
        return inside(self.folder, name)

    def frame(self, name: str) -> "pd.DataFrame":
        """The Parquet file `name` as a frame."""
        import pandas as pd

        with self.path(name).open("rb") as file:
            return pd.read_parquet(file)

    def local(self) -> Path:
        """The artifact as a folder on this machine: itself, or a verified download kept in the home for next time."""
        if not self.folder.protocol:
            return Path(self.folder.path)
        kept = home() / "downloads" / self.card.content_hash
        if not kept.is_dir():
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as beside:
                finished = Path(beside) / "finished"
                for name, sha256 in self.card.files.items():
                    (finished / name).parent.mkdir(parents=True, exist_ok=True)
                    self.folder.fs.get_file((self.folder / name).path, str(finished / name))
                    if file_sha256(finished / name) != sha256:
                        raise RlhfError(f"{self.folder / name} is not what its card says; make {self.card.asset} anew")
                if not kept.is_dir():
                    finished.rename(kept)
        return kept

    @property
    def relative_path(self) -> str:
        return "/".join(self.folder.parts[len(self.root.parts) :])

    @property
    def as_parent(self) -> Parent:
        card = self.card
        return Parent(asset=card.asset, week=card.week, path=self.relative_path, content_hash=card.content_hash)


@dataclass
class Draft:
    """An artifact in the making: write files to `folder`, then `commit`."""

    store: "ArtifactStore"
    asset: str
    week: str
    run_id: str
    folder: Path
    artifact: Artifact | None = None

    def commit(
        self,
        status: Status = "accepted",
        *,
        parents: Iterable[Artifact] = (),
        settings: BaseModel | Mapping[str, Any] | None = None,
        seeds: Mapping[str, int] | None = None,
        code_version: str = "",
        counts: Mapping[str, int] | None = None,
        figures: Mapping[str, Any] | None = None,
        reasons: Iterable[str] = (),
    ) -> Artifact:
        """Hash the files, move or upload them, write the card last."""
        names = sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        files = {name: file_sha256(self.folder / name) for name in names}
        listing = "".join(f"{name} {sha256}\n" for name, sha256 in files.items())
        card = Card(
            asset=self.asset,
            week=self.week,
            run_id=self.run_id,
            status=status,
            created_at=datetime.now(UTC),
            parents=[parent.as_parent for parent in parents],
            settings=settings.model_dump() if isinstance(settings, BaseModel) else dict(settings or {}),
            seeds=dict(seeds or {}),
            code_version=code_version,
            files=files,
            content_hash=hashlib.sha256(listing.encode()).hexdigest(),
            counts=dict(counts or {}),
            figures=dict(figures or {}),
            reasons=list(reasons),
        )
        self.artifact = self.store.publish(self.folder, card)
        return self.artifact


class ArtifactStore:
    """All artifacts under one root, a folder or an fsspec URL such as `s3://bucket/rlhf`."""

    def __init__(self, root: str) -> None:
        self.root = UPath(root)
        if not self.root.protocol:
            self.root = self.root.absolute()
            return
        self.root = UPath(root, use_listings_cache=False)  # which would hide for ever what others write
        try:
            self.root.fs  # noqa: B018
        except ImportError as error:
            mend = "correct RLHF_ARTIFACTS, or install that package as .env.example says"
            raise RlhfError(f"artifacts cannot lie at {root}: {error}; {mend}") from None

    @contextmanager
    def draft(self, asset: str, week: str, run_id: str) -> Iterator[Draft]:
        """A draft whose folder is gone afterwards, so that a failure leaves nothing behind."""
        drafts: Path | None = None
        if not self.root.protocol:  # beside the artifacts, so that publishing is a rename
            drafts = Path(self.root.path) / DRAFTS
            drafts.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=drafts, ignore_cleanup_errors=True) as folder:
            content = Path(folder) / "content"
            content.mkdir()
            yield Draft(self, asset, week, run_id, content)

    def publish(self, content: Path, card: Card) -> Artifact:
        """Move or upload `content` to a folder of its own, then write its card."""
        folder = self._new_folder(inside(self.root, f"{card.asset}/{card.week}"), card.run_id)
        if self.root.protocol:
            for name in card.files:
                self.root.fs.put_file(str(content / name), (folder / name).path)
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            content.rename(folder.path)
        write_whole(folder / CARD, card.model_dump_json(indent=2))
        return Artifact(self.root, folder, card)

    @staticmethod
    def _new_folder(week: UPath, run_id: str) -> UPath:
        folder, attempt = week / run_id, 1
        while folder.exists():
            attempt += 1
            folder = week / f"{run_id}-{attempt}"
        return folder

    def open(self, path: str) -> Artifact:
        """The artifact at `path` below the root; RlhfError when there is none, or `path` leads out of it."""
        folder = inside(self.root, path)
        try:
            card = Card.model_validate_json((folder / CARD).read_text())
        except FileNotFoundError:
            raise RlhfError(f"there is no artifact at {folder}") from None
        except ValidationError as error:
            raise RlhfError(f"{folder / CARD} is no card: {error.errors()[0]['msg']}") from None
        return Artifact(self.root, folder, card)

    def of_week(self, asset: str, week: str) -> list[Artifact]:
        """Every artifact of that asset and week, oldest first."""
        found = [self.open(f"{asset}/{week}/{name}") for name in self._runs(asset, week)]
        return sorted(found, key=lambda artifact: artifact.card.created_at)

    def newest(self, asset: str, week: str, statuses: Iterable[Status] = FIT_FOR_USE) -> Artifact | None:
        """The newest artifact of that asset and week with one of these statuses."""
        wanted = set(statuses)
        fitting = [artifact for artifact in self.of_week(asset, week) if artifact.card.status in wanted]
        return fitting[-1] if fitting else None

    def newest_before(self, asset: str, week: str, statuses: Iterable[Status] = FIT_FOR_USE) -> Artifact | None:
        """The newest such artifact of the latest week before that has one."""
        weeks = reversed([earlier for earlier in self.weeks(asset) if earlier < week])
        return next((made for earlier in weeks if (made := self.newest(asset, earlier, statuses))), None)

    def of_run(self, asset: str, week: str, run_id: str) -> Artifact | None:
        """What that run itself left for that asset and week, whatever its status."""
        made = [artifact for artifact in self.of_week(asset, week) if artifact.card.run_id == run_id]
        return made[-1] if made else None

    def for_run(self, asset: str, week: str, run_id: str) -> Artifact | None:
        """What that run should build on: its own experiment where it made one, which feeds no other run, else `newest`.

        Reward models and judges are taken by `newest` alone: an experiment never rewards or judges a policy.
        """
        own = self.of_run(asset, week, run_id)
        return own if own and own.card.status == "experiment" else self.newest(asset, week)

    def require(self, asset: str, week: str, statuses: Iterable[Status] = FIT_FOR_USE) -> Artifact:
        """Like `newest`, but RlhfError with the command that makes it when there is none."""
        if found := self.newest(asset, week, statuses):
            return found
        raise RlhfError(f"{asset} of week {week} is not there; make it with `{command_for(asset, week, week)}`")

    def require_weeks(self, asset: str, weeks: list[str]) -> list[Artifact]:
        """The asset's artifact of each week; RlhfError with one backfill command when any was never made."""
        found = [self.newest(asset, week) for week in weeks]
        missing = [week for week, artifact in zip(weeks, found, strict=True) if artifact is None]
        if missing:
            raise RlhfError(
                f"{asset} was never made for {len(missing)} of {len(weeks)} weeks, first {missing[0]}; "
                f"make them with `{command_for(asset, missing[0], missing[-1])}`"
            )
        return [artifact for artifact in found if artifact is not None]

    def remove_leftovers(self) -> None:
        """Delete what killed runs have left: drafts and folders without a card that nobody has touched for days."""
        if self.root.protocol:  # there, drafts lie in the system's folder for temporary files
            return
        root, long_ago = Path(self.root.path), time.time() - LEFTOVER_SECONDS
        runs = root.glob("*/[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/*")  # nobody else's folders
        uncommitted = [run for run in runs if run.is_dir() and is_inside(root, run) and not (run / CARD).exists()]
        for folder in (*(root / DRAFTS).glob("*"), *uncommitted):
            if folder.stat().st_mtime < long_ago:
                shutil.rmtree(folder, ignore_errors=True)

    def assets(self) -> list[str]:
        """The assets that have a folder."""
        return [name for name in _names(self.root) if (self.root / name).is_dir()]

    def weeks(self, asset: str) -> list[str]:
        """The weeks that have at least one artifact of that asset, oldest first."""
        return [week for week in _names(inside(self.root, asset)) if self._runs(asset, week)]

    def all(self, asset: str) -> list[Artifact]:
        """Every artifact of that asset, by week, then oldest first."""
        return [artifact for week in self.weeks(asset) for artifact in self.of_week(asset, week)]

    def _runs(self, asset: str, week: str) -> list[str]:
        folder = inside(self.root, f"{asset}/{week}")
        return [name for name in _names(folder) if (folder / name / CARD).exists()]


def command_for(asset: str, first: str, last: str) -> str:
    """The shell command that makes that asset for those weeks."""
    chosen = "" if "feedback" in asset else f"--assets {asset} "  # feedback is what a backfill makes unasked
    return f"rlhf backfill {chosen}--from {first} --to {last}"


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: UPath, text: str) -> None:
    """Write a small file so that no reader ever sees half of it (an object store's PUT is whole by itself)."""
    if path.protocol:
        path.write_text(text)
    else:
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text)
        beside.rename(path)


def _names(folder: UPath) -> list[str]:
    try:
        if not folder.is_dir():
            return []
        return sorted(child.name for child in folder.iterdir() if not child.name.startswith("."))
    except Exception as error:  # each kind of store has its own
        mend = "correct RLHF_ARTIFACTS, the network, or the credentials and rights that this store asks for"
        raise RlhfError(f"{folder} cannot be read: {type(error).__name__}; {mend}") from error
