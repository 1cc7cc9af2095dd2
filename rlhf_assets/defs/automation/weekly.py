"""The weekly loop: every Sunday at 01:00 UTC, the week that has just closed and those missed before it."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG, PRIORITY_TAG

from rlhf_assets.defs.automation.plan import weeks_without
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.feedback.weeks import first_week, last_closed_week, weeks_between
from rlhf_assets.storage.artifacts import ArtifactStore

WEEKLY = {"rlhf/weekly": "true"}  # of such runs dagster.yaml lets one go at a time

weekly_rlhf = dg.define_asset_job(
    "weekly_rlhf",
    dg.AssetSelection.all() - dg.AssetSelection.assets("ppo_estimate"),
    description="From the week's feedback to a promoted or refused policy: extract and clean the votes, build the "
    "datasets, train reward model, judge and policies, compare the policies, decide. What is launched with other "
    "settings than the defaults is an experiment: it feeds no other run and is never promoted.",
    tags=WEEKLY,
)


def due(store: ArtifactStore, closed: str) -> list[str]:
    """The week `closed`, and those before it that miss since the first one that has clean feedback, oldest first.

    Where no week has any, `closed` alone: how far back a new project goes is a person's `rlhf backfill`.
    """
    since = [week for week in store.weeks("clean_feedback") if first_week() <= week <= closed]
    missing = weeks_without(store, "clean_feedback", weeks_between(min([closed, *since]), closed))
    return sorted({*missing, closed})


def under_way(instance: dg.DagsterInstance) -> set[str | None]:
    """The weeks whose weekly run waits or works, as after a long catch-up."""
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES, tags=WEEKLY))
    return {run.tags.get(PARTITION_NAME_TAG) for run in runs}


# Dagster makes up for the last missed tick alone, however many Sundays its daemon was down; a week without clean
# feedback would keep the datasets of all later ones from being made
@dg.schedule(
    name="weekly_rlhf_schedule",
    description="Every Sunday, one hour after the week has ended, runs all of it for that week, after the weeks before "
    "it that were missed.",
    job=weekly_rlhf,
    cron_schedule="0 1 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def weekly_rlhf_schedule(context: dg.ScheduleEvaluationContext, artifacts: Artifacts) -> Iterator[dg.RunRequest]:
    """Every Sunday the week that has just closed, after those before it that were missed, oldest first."""
    closed = last_closed_week(context.scheduled_execution_time)
    weeks = due(artifacts.store, closed) if closed >= first_week() else []
    waiting = under_way(context.instance)
    for later, week in enumerate(weeks, start=1 - len(weeks)):
        if week not in waiting:
            # the queue takes the higher priority first, and a retry has its first run's: the older week stays ahead
            yield dg.RunRequest(run_key=week, partition_key=week, tags={PRIORITY_TAG: str(-later)})
