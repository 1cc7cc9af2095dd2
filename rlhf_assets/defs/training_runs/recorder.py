"""Writes every model's training back to `rlhf_training_runs`.

A plain sensor that reads Dagster's event log: a run status sensor moves on even when its body raises, so a database
that is down would lose runs. It goes by the numbers of events, never by their times: those are the clocks of the hosts
that ran something.
"""

import time
from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.automation.orphans import end_orphans
from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.defs.training_runs.run_ends import ENDED, PAGE, REREAD, ended_run, ends_after, in_order
from rlhf_assets.defs.training_runs.run_history import judged_in, trainings_of
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.promotions import PROMOTION
from rlhf_assets.training_runs.record import RunRow, row_of

BUDGET_SECONDS = 40.0  # of one tick; Dagster ends it at 60
UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def record_since(instance: dg.DagsterInstance, database: Database, store: ArtifactStore, since: int) -> tuple[int, int]:
    """Write the rows of all runs that are under way, or that ended or were judged after event number `since`.

    Returns how many rows changed and up to which event everything is written. Raises RlhfError, with nothing lost, when
    the database is not there.
    """
    from rlhf_assets.training_runs.upsert import upsert

    deadline, seen = time.monotonic() + BUDGET_SECONDS, since
    under_way = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    rows = [row for run in under_way for row in rows_of(instance, run, store)]
    for number, runs in told_after(instance, store, since - REREAD):
        rows += [row for run in runs for row in rows_of(instance, run, store)]
        seen = max(seen, number)
        if seen > since and time.monotonic() > deadline:  # the next tick goes on here
            break
    if not rows:
        return 0, seen
    with database.connect() as connection:
        return upsert(connection, rows), seen


def told_after(
    instance: dg.DagsterInstance, store: ArtifactStore, number: int
) -> Iterator[tuple[int, list[dg.DagsterRun]]]:
    """The next events after that number which end a run or judge a policy, by number, each with the runs to record."""
    verdicts = dg.AssetRecordsFilter(dg.AssetKey(PROMOTION), after_storage_id=number)
    judged = instance.fetch_materializations(verdicts, limit=PAGE, ascending=True)
    for record in in_order([*ends_after(instance, number), judged]):
        event = record.event_log_entry.get_dagster_event()
        if event.event_type not in ENDED:
            yield record.storage_id, judged_in(instance, store, event.partition) if event.partition else []
        elif run := ended_run(instance, record):
            yield record.storage_id, [run]


def rows_of(instance: dg.DagsterInstance, run: dg.DagsterRun, store: ArtifactStore) -> list[RunRow]:
    """The rows of that run's models."""
    return [row_of(training) for training in trainings_of(instance, run, store)]


def record_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Write that run's rows anew, as when a person has decided on its policy."""
    from rlhf_assets.training_runs.upsert import upsert

    if run := instance.get_run_by_id(run_id):  # else Dagster has forgotten it, and its row stays
        with Database().connect() as connection:
            upsert(connection, rows_of(instance, run, Artifacts().store))


def record_runs(instance: dg.DagsterInstance, since: int = 0) -> int:
    """Write the rows of all runs that ended after that event, of every run that Dagster knows by default.

    Returns how many rows changed.
    """
    database, store, written, seen, before = Database(), Artifacts().store, 0, since, -1
    while seen != before:
        before = seen
        more, seen = record_since(instance, database, store, since=before)
        written += more
    return written


@dg.sensor(
    name="training_run_recorder",
    description="Writes each model's training, however it was launched and however it ended, to rlhf_training_runs in "
    "the assistant's database.",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def training_run_recorder(
    context: dg.SensorEvaluationContext, database: Database, artifacts: Artifacts
) -> dg.SkipReason:
    """Keeps rlhf_training_runs up to date; the cursor moves only once the rows are written.

    Runs of this host whose process was killed are failed first, so that they hold no pool's slot. After an older backup
    of the table's database was restored, all runs are read again.
    """
    from rlhf_assets.training_runs import receipts

    end_orphans(context.instance)
    since, receipt = place(context.cursor)
    try:
        with database.connect(read_only=True) as connection:
            if receipt and not receipts.there(connection, receipt):
                context.log.warning("the database is older than its last recording; all runs are recorded again")
                since = 0
        written, seen = record_since(context.instance, database, artifacts.store, since)
        with database.connect(read_only=True) as connection:
            receipt = receipts.newest(connection)
    except RlhfError as error:
        raise dg.Failure(description=f"nothing is lost, the next tick tries again: {error}") from None
    context.update_cursor(f"{seen} {receipt}")
    return dg.SkipReason(f"{written} rows written")


def place(cursor: str | None) -> tuple[int, str]:
    """The event up to which everything is written, and the receipt for it; the beginning where there is none."""
    number, _, receipt = (cursor or "").partition(" ")
    return (int(number), receipt) if number.isdigit() else (0, "")  # an earlier version kept a time there
