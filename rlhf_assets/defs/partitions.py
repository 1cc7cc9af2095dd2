"""The weeks as Dagster sees them: every closed week from the first one on, keyed as in `feedback/weeks.py`."""

import warnings

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from rlhf_assets.feedback.weeks import first_week, week_of, weeks_between

# beta; the first is the only way to say that the first week has no week before it
for parameter in ("allow_nonexistent_upstream_partitions", "backfill_policy"):
    warnings.filterwarnings("ignore", message=f"Parameter `{parameter}`")

# Sundays 00:00 UTC, because every key is that date; the end is the last closed week, so none is half extracted
WEEKS = dg.WeeklyPartitionsDefinition(start_date=first_week(), timezone="UTC")

ONE_RUN = dg.BackfillPolicy.single_run()  # feedback: any number of weeks in one run
FEEDBACK_LIMIT = {MAX_RUNTIME_SECONDS_TAG: str(4 * 3600)}  # a year takes minutes; else a run may take a day
RUN_A_WEEK = dg.BackfillPolicy.multi_run(1)  # models: each week's training is a run of its own

# as-of assets of week W look at every week up to W; ten years is longer than any history here
UP_TO_NOW = dg.TimeWindowPartitionMapping(start_offset=-520, allow_nonexistent_upstream_partitions=True)


def weeks_of(context: dg.AssetExecutionContext) -> list[str]:
    """The weeks this run is for, oldest first."""
    window = context.partition_time_window
    return weeks_between(week_of(window.start), week_of(window.end))[:-1]


def week_of_run(context: dg.AssetExecutionContext) -> str:
    """The one week this run is for."""
    (week,) = weeks_of(context)
    return week
