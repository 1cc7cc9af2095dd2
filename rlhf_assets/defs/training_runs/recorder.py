"""Writes every model's training back to `rlhf_training_runs`.

A plain sensor that polls run records: a run status sensor moves on even when its body raises, so a database that is
down would lose runs, and it does not see runs launched from a shell or the UI.
"""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from rlhf_assets.defs.automation.launch import end_orphans
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

    deadline, seen = time.monotonic() + BUDGET_SECONDS, since
    under_way = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    rows = [row for run in under_way for row in rows_of(instance, run, store)]
    changed = dg.RunsFilter(updated_after=since - REREAD)
    for record in instance.get_run_records(changed, order_by="update_timestamp", ascending=True):
        rows += rows_of(instance, record.dagster_run, store)
        seen = max(seen, record.update_timestamp)
        if seen > since and time.monotonic() > deadline:  # the next tick goes on here
            break
    if not rows:
        return 0, seen
    with database.connect() as connection:
        return upsert(connection, rows), seen


def rows_of(instance: dg.DagsterInstance, run: dg.DagsterRun, store: ArtifactStore) -> list[RunRow]:
    """The rows of that run's models, and of those that its promotion judged."""
    told = [run, *judged_by(instance, run, store)]
    return [row_of(training) for one in told for training in trainings_of(instance, one, store)]


def record_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Write that run's rows anew, as when a person has decided on its policy."""
    from rlhf_assets.training_runs.upsert import upsert

    if run := instance.get_run_by_id(run_id):  # else Dagster has forgotten it, and its row stays
        with Database().connect() as connection:
            upsert(connection, rows_of(instance, run, Artifacts().store))


def record_runs(instance: dg.DagsterInstance, since: datetime | None = None) -> int:
    """Tick once, for a command that ran something itself since then; says how many rows changed."""
    written, _ = record_since(instance, Database(), Artifacts().store, since or datetime.now(UTC) - RECENT)
    return written


def record_all(instance: dg.DagsterInstance) -> int:
    """Write the rows of every run that Dagster knows, as when some were deleted; says how many changed."""
    database, store, written, seen, before = Database(), Artifacts().store, 0, BEGINNING, None
    while seen != before:
        before = seen
        more, seen = record_since(instance, database, store, since=before)
        written += more
    return written


@dg.sensor(name="training_run_recorder", minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def training_run_recorder(
    context: dg.SensorEvaluationContext, database: Database, artifacts: Artifacts
) -> dg.SkipReason:
    """Keeps rlhf_training_runs up to date; the cursor moves only once the rows are written.

    Runs of this host whose process was killed are failed first, so that they hold no pool's slot.
    """
    end_orphans(context.instance)
    since = datetime.fromisoformat(context.cursor) if context.cursor else BEGINNING
    try:
        written, seen = record_since(context.instance, database, artifacts.store, since)
    except RlhfError as error:
        raise dg.Failure(description=f"nothing is lost, the next tick tries again: {error}") from None
    context.update_cursor(seen.isoformat())
    return dg.SkipReason(f"{written} rows written")
