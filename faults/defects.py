"""Defects to be planted in a process of the project before it starts to work, and nowhere else."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

from upath import UPath


def told(defect: Callable[[], None]) -> str:
    """What a table says of it."""
    return " ".join((defect.__doc__ or "").split()).rstrip(".")


def card_first() -> None:
    """A card that is there before its files are."""
    from rlhf_assets.storage.artifacts import CARD, Artifact, ArtifactStore, write_whole
    from rlhf_assets.storage.card import Card

    def publish(self: ArtifactStore, content: Path, card: Card) -> Artifact:
        folder = self._new_folder(self.root / card.asset / card.week, card.run_id)
        folder.mkdir(parents=True)
        write_whole(folder / CARD, card.model_dump_json(indent=2))
        content.rename(f"{folder.path}/files")
        for path in Path(f"{folder.path}/files").iterdir():
            path.rename(f"{folder.path}/{path.name}")
        Path(f"{folder.path}/files").rmdir()
        return Artifact(self.root, folder, card)

    ArtifactStore.publish = publish  # type: ignore[method-assign]


def card_in_place() -> None:
    """A card that has its name before it is whole, on a slow disk."""
    from rlhf_assets.storage import artifacts

    def write(path: UPath, text: str) -> None:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            time.sleep(0.1)
            file.write(text[len(text) // 2 :])

    artifacts.write_whole = write


def no_optimizer_state() -> None:
    """A reward model's checkpoint that has the weights and not what the optimizer remembers."""
    from rlhf_assets.reward.learner import Learner

    whole = Learner.state

    def state(self: Learner) -> dict[str, object]:
        found = whole(self)
        return found | {"optimizer": found["optimizer"] | {"state": {}}}

    Learner.state = state  # type: ignore[method-assign]


def no_random_state() -> None:
    """A policy's checkpoint that has forgotten which prompts and replies come next."""
    import torch

    from rlhf_assets.policy.learner import PpoLearner

    whole = PpoLearner.state

    def state(self: PpoLearner) -> dict[str, object]:
        return whole(self) | {"draws": torch.Generator().get_state()}

    PpoLearner.state = state  # type: ignore[method-assign]


def starts_anew() -> None:
    """A training that never looks for its checkpoint."""
    from rlhf_assets.policy import ppo
    from rlhf_assets.reward import training

    training.kept = ppo.kept = lambda file, training: None


def slot_held() -> None:
    """A killed run that goes on holding its slot in the pool."""
    from rlhf_assets.defs.automation import launch
    from rlhf_assets.defs.training_runs import recorder

    launch.end_orphans = recorder.end_orphans = lambda instance: None


def leftovers_stay() -> None:
    """Nobody ever removes what killed runs were writing."""
    from rlhf_assets.storage.artifacts import ArtifactStore

    ArtifactStore.remove_leftovers = lambda self: None  # type: ignore[method-assign]


def disk_unknown() -> None:
    """A full disk that is an error like any other."""
    from rlhf_assets.defs import reporting

    reporting.full_disk = lambda error: None


def bare_checkpoint() -> None:
    """A checkpoint's writer that lets torch say what is wrong."""
    import torch

    from rlhf_assets.reward import training

    def keep(file: Path, training: str, state: dict[str, object]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"training": training, **state}, file)

    training.keep = keep


def drafts_stay() -> None:
    """A draft that is not removed when its step fails."""
    import tempfile
    from contextlib import contextmanager

    from rlhf_assets.storage import artifacts

    @contextmanager
    def kept(dir: Path, ignore_cleanup_errors: bool) -> Iterator[str]:
        yield tempfile.mkdtemp(dir=dir)

    artifacts.tempfile = SimpleNamespace(TemporaryDirectory=kept)  # type: ignore[assignment]


def no_reconnect() -> None:
    """A lost connection that is not tried again."""
    import dagster as dg

    from rlhf_assets.defs.automation.launch import asset_job

    for node in asset_job().nodes:
        if isinstance(node.definition, dg.OpDefinition):
            node.definition._retry_policy = None


def no_patience() -> None:
    """A Dagster that asks its database but once."""
    from dagster_postgres import utils

    utils.retry_pg_connection_fn.__defaults__ = (0, 0.0)


def crash_untold() -> None:
    """A killed step whose name alone is told."""
    from rlhf_assets.defs.training_runs import run_history

    run_history.said = lambda data: None


def outage_untold() -> None:
    """A database of Dagster that goes away without a word to people."""
    from rlhf_assets.commands import instance

    instance.database_gone = lambda error: False
