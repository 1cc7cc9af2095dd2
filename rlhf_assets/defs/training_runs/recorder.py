"""Writes every model's training back to `rlhf_training_runs`.

A plain sensor that polls run records: a run status sensor moves on even when its body raises, so a database that is
down would lose runs, and it does not see runs launched from a shell or the UI.
"""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.defs.training_runs.run_history import judged_by, trainings_of
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.training_runs.record import RunRow, row_of

REREAD = timedelta(seconds=10)  # run records may become visible out of order; rows are idempotent
BUDGET_SECONDS = 40.0  # of one tick; Dagster ends it at 60
RECENT = timedelta(days=7)  # what a command's own tick looks back on; older runs are the sensor's
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]  # their records do not change with each step


def record_since(
    instance: dg.DagsterInstance, database: Database, store: ArtifactStore, since: datetime
) -> tuple[int, datetime]:
    """Write the rows of all runs that changed after `since` or are under way.

    Returns how many rows changed and up to when everything is written. Raises RlhfError, with nothing lost, when the
    database is not there.
    """
    from rlhf_assets.training_runs.upsert import upsert

    def rows_of(run: dg.DagsterRun) -> list[RunRow]:
        told = [run, *judged_by(instance, run, store)]
        return [row_of(training) for one in told for training in trainings_of(instance, one, store)]

    deadline, seen = time.monotonic() + BUDGET_SECONDS, since
    rows = [row for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)) for row in rows_of(run)]
    changed = dg.RunsFilter(updated_after=since - REREAD)
    for record in instance.get_run_records(changed, order_by="update_timestamp", ascending=True):
        rows += rows_of(record.dagster_run)
        seen = max(seen, record.update_timestamp)
        if seen > since and time.monotonic() > deadline:  # the next tick goes on here
            break
    if not rows:
        return 0, seen
    with database.connect() as connection:
        return upsert(connection, rows), seen


def record_runs(instance: dg.DagsterInstance, since: datetime | None = None) -> int:
    """Tick once, for a command that ran something itself since then; says how many rows changed."""
    written, _ = record_since(instance, Database(), Artifacts().store, since or datetime.now(UTC) - RECENT)
    return written


@dg.sensor(name="training_run_recorder", minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def training_run_recorder(
    context: dg.SensorEvaluationContext, database: Database, artifacts: Artifacts
) -> dg.SkipReason:
    """Keeps rlhf_training_runs up to date; the cursor moves only once the rows are written."""
    since = datetime.fromisoformat(context.cursor) if context.cursor else BEGINNING
    try:
        written, seen = record_since(context.instance, database, artifacts.store, since)
    except RlhfError as error:
        raise dg.Failure(description=f"nothing is lost, the next tick tries again: {error}") from None
    context.update_cursor(seen.isoformat())
    return dg.SkipReason(f"{written} rows written")
