"""Defects of the recorder, each as a context in which it has it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dagster as dg

from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.defs.training_runs import recorder, run_ends
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.training_runs import record, upsert

IN_DAEMON = "RLHF_FAULTS_DEFECT"  # environment: the defect that a daemon's code server is to have

Planted = AbstractContextManager[object]
Told = Iterator[tuple[int, list[dg.DagsterRun]]]


def in_daemon(defect: str) -> Planted:
    """One of the defects below, in the daemon's process."""
    return patch.dict(os.environ, {IN_DAEMON: defect})


def moves_on_when_it_fails() -> Planted:
    """As a run status sensor does."""

    @dg.sensor(name="moves_on", default_status=dg.DefaultSensorStatus.RUNNING)
    def moves_on(context: dg.SensorEvaluationContext, database: Database, artifacts: Artifacts) -> dg.SkipReason:
        try:
            since, _ = recorder.place(context.cursor)
            recorder.record_since(context.instance, database, artifacts.store, since)
        except RlhfError:
            pass
        context.update_cursor(f"{context.instance.event_log_storage.get_maximum_record_id()} ")
        return dg.SkipReason("")

    return patch.object(recorder, "training_run_recorder", moves_on)


def passes_over_what_it_cannot_read() -> Planted:
    right = recorder.rows_of

    def rows_of(*arguments: Any) -> list[record.RunRow]:
        try:
            return right(*arguments)
        except Exception:
            return []

    return patch.object(recorder, "rows_of", rows_of)


def draws_ids() -> Planted:
    """A row's id at random instead of by what was trained."""
    drawn = SimpleNamespace(UUID=uuid.UUID, uuid5=lambda *_: uuid.uuid4())
    return patch.object(record, "uuid", drawn)


def writes_what_it_is_told_last() -> Planted:
    """The upsert without what keeps a row from moving back."""
    changed, _, _ = upsert.UPSERT.partition("AND (old.training_status <> 'completed'")
    return patch.object(upsert, "UPSERT", changed)


def takes_five_and_goes_to_the_end() -> Planted:
    right = recorder.told_after

    def told_after(instance: dg.DagsterInstance, store: ArtifactStore, number: int) -> Told:
        told = list(right(instance, store, number))
        yield from told[:5]
        yield from ((last, []) for last, _ in told[-1:])

    return patch.object(recorder, "told_after", told_after)


def goes_by_the_hosts_clocks() -> Planted:
    """A cursor of microseconds instead of events' numbers."""

    def told_after(instance: dg.DagsterInstance, store: ArtifactStore, number: int) -> Told:
        after = dg.RunsFilter(updated_after=datetime.fromtimestamp(max(number, 0) / 1e6, UTC))
        for found in instance.get_run_records(after, order_by="update_timestamp", ascending=True):
            yield int(found.update_timestamp.timestamp() * 1e6), [found.dagster_run]

    return patch.object(recorder, "told_after", told_after)


def does_not_read_decisions() -> Planted:
    return patch.object(recorder, "judged_in", lambda *_: [])


def trusts_the_database() -> Planted:
    """Does not look whether what it wrote is still there."""
    return patch("rlhf_assets.training_runs.receipts.there", lambda *_: True)


def reconciles_only_news() -> Planted:
    everything = recorder.record_runs
    return patch.object(recorder, "record_runs", lambda instance: everything(instance, run_ends.newest_event(instance)))
