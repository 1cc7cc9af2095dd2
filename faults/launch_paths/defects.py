"""Recorders as somebody else would write them, each wrong for one way to launch or to end."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster import DagsterEventType as Event
from dagster._core.storage.tags import PARTITION_NAME_TAG, SCHEDULED_EXECUTION_TIME_TAG

from faults.launch_paths.deployment import Deployment, ticks_of
from rlhf_assets.feedback.weeks import last_closed_week

Defect = Callable[[Deployment, pytest.MonkeyPatch], None]


@contextmanager
def recorded_with(deployment: Deployment, defect: Defect) -> Iterator[None]:
    """All runs so far as that recorder writes them, into a database that has no rows yet."""
    second = deployment.admin_url.replace("/app?", "/second?")
    with psycopg.connect(second) as connection:
        connection.execute("truncate public.rlhf_training_runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPABASE_DB_URL", deployment.second_url)
        patch.setattr(deployment, "app_url", deployment.second_url)
        defect(deployment, patch)
        deployment.module("training_runs.recorder").record_runs(deployment.instance)
        yield


def only_runs(kept: Callable[[dg.DagsterRun], bool]) -> Defect:
    """One that does not see all runs."""
    return told_as(lambda run, training: training if kept(run) else None)


def told_as(change: Callable[[dg.DagsterRun, Any], Any]) -> Defect:
    """One that tells each training otherwise, or not at all."""

    def defect(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
        recorder = deployment.module("training_runs.recorder")
        read = recorder.trainings_of

        def changed(instance: dg.DagsterInstance, run: dg.DagsterRun, store: Any) -> Sequence[Any]:
            told = [change(run, training) for training in read(instance, run, store)]
            return [training for training in told if training]

        patch.setattr(recorder, "trainings_of", changed)

    return defect


def by_its_tick(run: dg.DagsterRun, training: Any) -> Any:
    """The week of a scheduled run is the one before its tick, which holds until a Sunday is missed."""
    tick = run.tags.get(SCHEDULED_EXECUTION_TIME_TAG)
    return replace(training, week=last_closed_week(datetime.fromisoformat(tick))) if tick else training


def as_its_run(run: dg.DagsterRun, training: Any) -> Any:
    """The run decides how a training ended."""
    outcome = {"FAILURE": "failed", "CANCELED": "canceled"}.get(run.status.value)
    return replace(training, outcome=outcome) if outcome else training


def from_the_first_tick_on(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
    """As a run status sensor does, whose first tick only sets the cursor."""
    first = ticks_of(deployment, "training_run_recorder")[-1].timestamp

    def known(run: dg.DagsterRun) -> bool:
        record = deployment.instance.get_run_record_by_id(run.run_id)
        return record is None or record.end_time is None or record.end_time >= first

    only_runs(known)(deployment, patch)


def by_asset_selection(run: dg.DagsterRun, training: Any) -> Any:
    """The run's own choice of assets says which models it trains."""
    chosen = {key.to_user_string() for key in run.asset_selection or ()}
    return training if training.asset in chosen else None


def by_partition_key(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
    """The week is the run's partition, which an asset backfill's run does not have."""
    history = deployment.module("training_runs.run_history")
    patch.setattr(history, "weeks_of_run", lambda run: [week for week in [run.tags.get(PARTITION_NAME_TAG)] if week])


def a_chain_a_run(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
    """Every run is a training of its own, a retry too."""
    history = deployment.module("training_runs.run_history")
    patch.setattr(history, "first_of_chain", lambda _instance, run: (run.run_id, 1))


def a_row_a_run(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
    """A row is known by its run, whatever the run trains."""
    recorder = deployment.module("training_runs.recorder")
    row_of = recorder.row_of
    patch.setattr(recorder, "row_of", lambda training: replace(row_of(training), id=uuid.UUID(training.first_run_id)))


def blind_to(event: Event) -> Defect:
    """One that does not read such events."""

    def defect(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
        history = deployment.module("training_runs.run_history")
        patch.setattr(history, "TOLD", history.TOLD - {event})

    return defect


def waiting_for_the_step(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
    """A training has ended when its step says so, which a killed one never does."""
    patch.setattr(deployment.module("training_runs.run_history"), "OVER", {})


def stopped_is_failed(deployment: Deployment, patch: pytest.MonkeyPatch) -> None:
    """Whatever a step raises is a failure."""
    patch.setattr(deployment.module("training_runs.run_history"), "interrupted", lambda event: False)


def ended_alone(run: dg.DagsterRun, training: Any) -> Any:
    """Nothing is told before it has ended."""
    return training if run.is_finished else None


def of_the_weekly_job(run: dg.DagsterRun) -> bool:
    return run.job_name == "weekly_rlhf"


def from_a_code_location(run: dg.DagsterRun) -> bool:
    """As sensors see them; a run from a shell has none."""
    return run.remote_job_origin is not None
