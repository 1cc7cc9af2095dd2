"""What a run from a shell finds under way: the queue, which keeps others apart, does not see it come."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import dagster as dg

from rlhf_assets.defs.training_runs.run_history import weeks_of_run
from rlhf_assets.errors import RlhfError
from rlhf_assets.training_runs.record import MODEL_TYPES

log = logging.getLogger(__name__)

POOL = "gpu"
RUNNING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def keep_apart(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey], weeks: Sequence[str]) -> None:
    """RlhfError where a run that trains one of these models of one of these weeks is under way.

    Waiting for it would only train the week a second time. Says whom the models wait for where another week's hold the
    pool.
    """
    models = {key for key in keys if key.to_user_string() in MODEL_TYPES}
    if not models:
        return
    for record in instance.get_run_records(dg.RunsFilter(statuses=RUNNING)):
        run, same = record.dagster_run, set(weeks_of_run(record.dagster_run)) & set(weeks)
        if same and (run.asset_selection is None or models & run.asset_selection):
            since = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
            raise RlhfError(
                f"run {run.run_id} has been training week {min(same)} since {since:%Y-%m-%d %H:%M} UTC; wait for it or "
                "cancel it in the UI"
            )
    for slot in instance.event_log_storage.get_concurrency_info(POOL).claimed_slots:
        log.warning("run %s holds the pool %s for %s; models wait until it is done", slot.run_id, POOL, slot.step_key)
