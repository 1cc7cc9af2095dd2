"""Runs that Dagster's own tables may forget. What a run has made hangs on its events, so only one without goes."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterEventType as Event
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

from rlhf_assets.storage.settings import RetentionSettings

MADE = {Event.ASSET_MATERIALIZATION, Event.ASSET_CHECK_EVALUATION}  # a week's status in the UI, a check's history


def old_runs(
    instance: dg.DagsterInstance, settings: RetentionSettings, now: datetime | None = None
) -> list[dg.DagsterRun]:
    """The runs that ended long ago and made nothing: failed, canceled or skipped.

    One that was tried again stays: its id is that of all attempts in rlhf_training_runs.
    """
    long_ago = (now or datetime.now(UTC)) - timedelta(days=settings.run_days)
    ended = instance.get_run_records(dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=long_ago))
    return [
        record.dagster_run
        for record in ended
        if not instance.get_records_for_run(record.dagster_run.run_id, of_type=MADE, limit=1).records
        and not instance.get_run_ids(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: record.dagster_run.run_id}), limit=1)
    ]


def forget(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Delete a run with its events and what it printed."""
    instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    instance.delete_run(run.run_id)
