"""Tells a webhook what nobody should find out by looking: a failed run, a third week without a policy, drift, and a
schedule or sensor that fails at every turn or that somebody switched off.
"""

import json
import os
from collections.abc import Iterator

import dagster as dg
from dagster import DagsterEventType as Event
from dagster._core.storage.tags import WILL_RETRY_TAG

from rlhf_assets.defs.automation.failing import failing
from rlhf_assets.defs.automation.launch import what_failed, why_skipped
from rlhf_assets.defs.automation.switched_on import switched_off
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.defs.reward_model.checks import DRIFT
from rlhf_assets.defs.training_runs.run_ends import REREAD, ends_after, in_order, newest_event
from rlhf_assets.defs.training_runs.run_history import weeks_of_run
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import earlier, first_week
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.webhook import WEBHOOK, post

TOLD = {Event.STEP_FAILURE, Event.STEP_SKIPPED, Event.ASSET_OBSERVATION, Event.ASSET_CHECK_EVALUATION}
MISSED = 3  # weeks in a row without a policy
SHOWN = 20  # lines of one message


def worth_telling(instance: dg.DagsterInstance, run: dg.DagsterRun, store: ArtifactStore) -> Iterator[str]:
    """A line for each thing about that ended run that somebody should know."""
    weeks = weeks_of_run(run)
    about = f"week {weeks[0]}" if len(weeks) == 1 else f"weeks {weeks[0]} to {weeks[-1]}" if weeks else run.job_name
    failures, skips = 0, list[str]()
    for entry in instance.all_logs(run.run_id, of_type=TOLD):
        event = entry.get_dagster_event()
        if event.is_step_failure:
            failures += 1
            yield f"{about}: {what_failed(event).splitlines()[0]} (run {run.run_id})"
        elif event.event_type is Event.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if check.check_name == DRIFT and not check.passed:
                said = [
                    str(value.value) for value in check.metadata.values() if isinstance(value, dg.TextMetadataValue)
                ]
                yield f"{about}: {check.asset_key.to_user_string()} warns of drift: {' '.join(said)}"
        elif reason := why_skipped(event):
            skips.append(reason)
        if skips and event.step_key == "ppo_policy" and (event.is_step_skipped or why_skipped(event)):
            first = skips[0]  # the step is skipped for it, or gave it itself
            yield from (
                f"{about}: no policy for {MISSED} weeks in a row; {first}" for week in weeks if missed(store, week)
            )
    if run.status is dg.DagsterRunStatus.FAILURE and not failures:
        yield f"{about}: the run ended before its steps did (run {run.run_id})"


def ended_for_good(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster has written that it ended, and will not try it again.

    It writes the event first, then the status, then whether it will try again; one from a shell it never does.
    """
    if run.status is not dg.DagsterRunStatus.FAILURE or not instance.run_retries_enabled:
        return run.is_finished and run.tags.get(WILL_RETRY_TAG) != "true"
    return run.tags.get(WILL_RETRY_TAG) == "false" or run.remote_job_origin is None


def told_of(instance: dg.DagsterInstance, run: dg.DagsterRun, store: ArtifactStore) -> list[str]:
    """What is worth telling of that run; one broken card must not silence everything."""
    lines: list[str] = []
    try:
        lines.extend(worth_telling(instance, run, store))
    except RlhfError as error:
        lines.append(f"not all of run {run.run_id} can be told: {error}")
    return lines


def missed(store: ArtifactStore, week: str) -> bool:
    """Whether that week and those before it have no policy of their own."""
    row = [earlier(week, ago) for ago in range(MISSED)]
    return row[-1] >= first_week() and not any(store.newest("ppo_policy", each, ("candidate",)) for each in row)


@dg.sensor(
    name="alerts",
    description="Tells the webhook in RLHF_ALERT_WEBHOOK of a failed run, a third week without a policy, drift, and a "
    "schedule or sensor that keeps failing or was switched off. Without one it does nothing.",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alerts(context: dg.SensorEvaluationContext, artifacts: Artifacts) -> dg.SkipReason:
    """Tells RLHF_ALERT_WEBHOOK of runs that have ended; the cursor moves only once the webhook has taken it."""
    url = os.environ.get(WEBHOOK)
    if not url:
        if context.cursor:
            context.update_cursor("")  # switched on again, it tells nothing old
        return dg.SkipReason(f"{WEBHOOK} is not set, so nobody is told")
    kept = json.loads(context.cursor or "{}")
    if "seen" not in kept:  # at first it only notes where to begin: what a webhook does not take now would be lost
        begun = newest_event(context.instance)
        context.update_cursor(json.dumps({"begun": begun, "seen": begun, "told": []}))
        return dg.SkipReason("from now on what goes wrong is told")
    ends = list(in_order(ends_after(context.instance, max(kept["begun"], kept["seen"] - REREAD))))
    runs = {end.run_id: run for end in ends if (run := context.instance.get_run_by_id(end.run_id))}
    over = [run for run in runs.values() if ended_for_good(context.instance, run)]
    lines = [
        line
        for run in over
        if run.run_id not in kept["told"] and run.status is not dg.DagsterRunStatus.CANCELED  # who cancels knows it
        for line in told_of(context.instance, run, artifacts.store)
    ]
    off = switched_off(context.instance)
    lines += [f"{name} was switched off; nothing replaces it" for name in off if name not in kept.get("off", [])]
    fails = failing(context.instance)
    lines += [f"{name} keeps failing: {why}" for name, why in fails.items() if name not in kept.get("failing", [])]
    if lines:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        try:
            post(url, "\n".join([*lines[:SHOWN], *more]))
        except RlhfError as error:
            raise dg.Failure(description=f"nothing is lost, the next tick tries again: {error}") from None
    seen, told = max([kept["seen"], *(end.storage_id for end in ends)]), [run.run_id for run in over]
    context.update_cursor(json.dumps({**kept, "seen": seen, "told": told, "off": off, "failing": list(fails)}))
    return dg.SkipReason(f"{len(lines)} things told")
