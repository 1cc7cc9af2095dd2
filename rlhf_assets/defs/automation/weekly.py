"""The weekly loop: every Sunday at 01:00 UTC, the week that has just closed and those missed before it."""

from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.feedback.weeks import first_week, last_closed_week, weeks_between
from rlhf_assets.storage.artifacts import ArtifactStore

weekly_rlhf = dg.define_asset_job(
    "weekly_rlhf",
    dg.AssetSelection.all() - dg.AssetSelection.assets("ppo_estimate"),
    description="From the week's feedback to a promoted or refused policy: extract and clean the votes, build the "
    "datasets, train reward model, judge and policies, compare the policies, decide. What is launched with other "
    "settings than the defaults is an experiment: it feeds no other run and is never promoted.",
    tags={"rlhf/weekly": "true"},  # of which dagster.yaml lets one run at a time: weeks are made in their order
)


def due(store: ArtifactStore, closed: str) -> list[str]:
    """The week `closed` and those before it that miss since the first one that has clean feedback.

    Where no week has any, `closed` alone: how far back a new project goes is a person's `rlhf backfill`.
    """
    made = store.weeks("clean_feedback")
    return [week for week in weeks_between(min([closed, *made]), closed) if week == closed or week not in made]


# Dagster makes up for the last missed tick alone, however many Sundays its daemon was down or a run failed; a week left
# out would keep the datasets of all later ones from being made
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
    if closed >= first_week():
        for week in due(artifacts.store, closed):
            yield dg.RunRequest(run_key=week, partition_key=week)
