"""The stages of a week's work in the deployment: what makes them, and what a reader finds of them afterwards."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from faults.attempts import attempt
from faults.deployment import Deployment
from rlhf_assets.storage.artifacts import DRAFTS, Artifact, file_sha256
from rlhf_assets_tests.defs.world import LAST, WEEKS

CLOCK = "seconds$|per_second$|^read_at$"  # names of figures
GONE_ON = "goes on from its checkpoint"  # what a training says that does


@dataclass(frozen=True)
class Stage:
    """Assets of some weeks that one command makes."""

    name: str
    assets: tuple[str, ...]
    weeks: Sequence[str] = (LAST,)

    @property
    def command(self) -> list[str]:
        weeks = ["--from", self.weeks[0], "--to", self.weeks[-1]]
        return ["backfill", "--local", *weeks, "--assets", ",".join(self.assets)]


EXTRACTION = Stage("extraction", ("raw_message_feedback", "raw_step_feedback"), WEEKS)
CLEANING = Stage("cleaning", ("clean_feedback", "quarantined_feedback"), WEEKS)
REWARD = Stage("reward training", ("reward_model",))
PPO = Stage("PPO", ("ppo_policy",))
EVALUATION = Stage("evaluation", ("policy_evaluation",))


def make(deployment: Deployment, *stages: Stage | str) -> None:
    """Make what other stages need; a name is that asset of the last week."""
    for stage in stages:
        whole = stage if isinstance(stage, Stage) else Stage(stage, (stage,))
        made = attempt(whole.command, deployment.log)
        if made.code != 0:
            raise RuntimeError(f"{whole.name} {made.how}")


def result(deployment: Deployment, stage: Stage) -> dict[str, str]:
    """What the newest artifacts are, by asset and week: their content, and their figures but for the clock's."""
    from rlhf_assets.defs.automation.launch import chosen

    found = {}
    for asset in (key.to_user_string() for key in chosen(stage.assets)):
        for week in stage.weeks:
            card = deployment.store.of_week(asset, week)[-1].card
            found[f"{asset} of {week}"] = f"{card.content_hash} {json.dumps(timeless(card.figures), sort_keys=True)}"
    return found


def timeless(figures: Any) -> Any:
    """Figures without what a clock gave."""
    if isinstance(figures, list):
        return [timeless(one) for one in figures]
    if isinstance(figures, dict):
        return {name: timeless(value) for name, value in figures.items() if not re.search(CLOCK, name)}
    return figures


def half_written(deployment: Deployment) -> list[str]:
    """What a reader of all artifacts stumbles over."""
    store = deployment.store
    try:
        everything = [made for asset in store.assets() for made in store.all(asset)]
    except Exception as error:  # whatever it is, no reader may meet it
        return [f"a reader meets {error}"]
    return [f"a reader sees {made.relative_path} without {name}" for made in everything for name in missing(made)]


def missing(made: Artifact) -> list[str]:
    """The files of an artifact that are not there as its card says."""
    files = {name: Path((made.folder / name).path) for name in made.card.files}
    return [name for name, path in files.items() if not path.exists() or file_sha256(path) != made.card.files[name]]


def folders(deployment: Deployment) -> set[Path]:
    """Every folder of a run, with or without a card."""
    return set((deployment.folder / "artifacts").glob("[!.]*/*/*"))


def drafts(deployment: Deployment) -> set[Path]:
    """The drafts in which something has been written."""
    there = (deployment.folder / "artifacts" / DRAFTS).glob("*")
    return {draft for draft in there if any(file.is_file() for file in draft.rglob("*"))}


def checkpoint_files(deployment: Deployment) -> list[Path]:
    """Checkpoints, and what was to become one."""
    return [file for file in deployment.checkpoints.rglob("*") if file.is_file()]


def checkpoint_stands(deployment: Deployment) -> bool:
    return any(file.suffix == ".pt" for file in checkpoint_files(deployment))


def held_open() -> list[str]:
    """Runs that nobody ended and slots that nobody has freed."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        slots = instance.event_log_storage.get_concurrency_info("gpu").active_slot_count
    return [f"{runs} runs are still open and hold {slots} slots"] if runs or slots else []


def compared(now: dict[str, str], reference: dict[str, str]) -> list[str]:
    return [f"the retry made another {name}" for name, made in reference.items() if now[name] != made]
