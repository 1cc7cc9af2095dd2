"""Launching from a shell or a script: in this process, or as a true backfill that the daemon works off."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from rlhf_assets.defs.automation.orphans import PROCESS, end_orphans, process_of_this
from rlhf_assets.defs.automation.under_way import keep_apart, taken_pools
from rlhf_assets.defs.partitions import FEEDBACK_LIMIT, ONE_RUN
from rlhf_assets.defs.training_runs.run_history import interrupted, said
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import earlier

log = logging.getLogger(__name__)

LOCATION = "rlhf_assets"
HEARTBEAT = 60  # seconds that a daemon's sign of life may be late; Dagster's own half hour is no answer to a person
TELLING = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_OBSERVATION}  # why a step made nothing
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the project's own logging shows progress

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""


CANCEL = """
mutation Cancel($id: String!) {
  cancelPartitionBackfill(backfillId: $id) {
    __typename
    ... on CancelBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""


@cache
def asset_job() -> dg.JobDefinition:
    """The job that can materialize any choice of assets."""
    from rlhf_assets.definitions import defs

    return defs().resolve_implicit_global_asset_job_def()


def materialize_weeks(
    instance: dg.DagsterInstance,
    keys: Sequence[str],
    weeks: Sequence[str],
    run_config: Mapping[str, Any] | None = None,
) -> bool:
    """Materialize these assets for these weeks, oldest first, in this process and say whether all succeeded.

    Feedback of successive weeks is one run; with a model or a dataset among the assets each week is a run, and the
    first failure ends it, unless all that failed is what its own checks refused, as a week of too few votes. Failures
    are logged, a line a step. Raises RlhfError where another run is training one of these weeks.
    """
    end_orphans(instance)
    job, selection = asset_job(), chosen(keys)
    keep_apart(instance, selection, weeks)
    pools = {pool for key in selection for pool in job.asset_layer.asset_graph.get(key).pools or ()}
    how: dict[str, Any] = {
        "instance": instance,
        "asset_selection": selection,
        "run_config": {**QUIET, **(run_config or {})},
        "raise_on_error": False,
    }
    done = True
    for number, (first, last) in enumerate(parts := runs_of(keys, weeks), start=1):
        if len(parts) > 1:
            log.info("run %d of %d: %s", number, len(parts), first if first == last else f"{first} to {last}")
        for taken in taken_pools(instance, pools):
            log.warning("%s; what needs it here waits until then", taken)
        here = {PROCESS: process_of_this()}
        if first == last:
            result = job.execute_in_process(partition_key=first, tags=here, **how)
        else:
            over = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
            result = job.execute_in_process(tags=here | over, **how)
        done &= succeeded(result)
        if any(interrupted(event) for event in result.all_events):
            instance.report_run_canceled(result.dagster_run, "stopped where it ran")  # else it would count as failed
        if not (result.success or only_refused(result)):
            break
    return done


def runs_of(keys: Sequence[str], weeks: Sequence[str]) -> list[tuple[str, str]]:
    """First and last week of each run that these weeks of these assets take."""
    return ranges(weeks) if feedback_alone(chosen(keys)) else [(week, week) for week in weeks]


def feedback_alone(selection: Sequence[dg.AssetKey]) -> bool:
    """Whether any number of weeks of these assets is one run."""
    layer = asset_job().asset_layer
    return all(layer.get(key).backfill_policy == ONE_RUN for key in selection)


def ranges(weeks: Sequence[str]) -> list[tuple[str, str]]:
    """First and last of each unbroken row of weeks, given oldest first."""
    rows: list[tuple[str, str]] = []
    for week in weeks:
        if rows and rows[-1][1] == earlier(week, 1):
            rows[-1] = (rows[-1][0], week)
        else:
            rows.append((week, week))
    return rows


def chosen(keys: Sequence[str]) -> list[dg.AssetKey]:
    """These assets and those that are made in one step with them; RlhfError for an unknown one."""
    graph = asset_job().asset_layer.asset_graph
    known = {key.to_user_string(): key for key in graph.materializable_asset_keys}
    if unknown := [key for key in keys if key not in known]:
        raise RlhfError(f"there is no asset {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return sorted({made for key in keys for made in graph.get(known[key]).execution_set_asset_keys})


def succeeded(result: dg.ExecuteInProcessResult) -> bool:
    """Whether the run did; logs what did not."""
    for event in result.all_events:
        if interrupted(event):
            log.warning("%s was canceled", event.step_key)
        elif event.is_step_failure:
            log.error(what_failed(event))
        elif reason := why_skipped(event):
            log.warning(reason)
    return result.success


def only_refused(result: dg.ExecuteInProcessResult) -> bool:
    """Whether each step that failed had made its asset, so that nothing is wrong but what was made."""
    failed = {event.step_key for event in result.all_events if event.is_step_failure}
    return bool(failed) and failed <= {event.step_key for event in result.get_asset_materialization_events()}


def what_failed(event: dg.DagsterEvent) -> str:
    """A step's failure: its one line where the project said it, else the traceback."""
    failure = event.step_failure_data
    return f"{event.step_key} failed: {said(failure) or failure.error_display_string}"


def why_skipped(event: dg.DagsterEvent) -> str | None:
    """The reason that an asset gave for making nothing, if this is where it did."""
    if event.event_type is not dg.DagsterEventType.ASSET_OBSERVATION:
        return None
    told = event.asset_observation_data.asset_observation.metadata.get("skipped")
    return f"{event.step_key} skipped: {told.value}" if told else None


def daemon_alive(instance: dg.DagsterInstance) -> bool:
    """Whether a daemon on this instance works off backfills."""
    from dagster._daemon import BackfillDaemon
    from dagster._daemon.controller import get_daemon_statuses

    kind = BackfillDaemon.daemon_type()
    statuses = get_daemon_statuses(instance, [kind], ignore_errors=True, heartbeat_tolerance_seconds=HEARTBEAT)
    return bool(statuses[kind].healthy)


def request_backfill(instance: dg.DagsterInstance, keys: Sequence[str], weeks: Sequence[str]) -> str:
    """Ask for a backfill, which the daemon launches with as few runs as the assets allow; returns its id.

    Each asset gets these weeks and no others: by `partitionNames` Dagster would make whatever follows from them, as the
    datasets of all later weeks.
    """
    wanted = {"ranges": [{"start": first, "end": last} for first, last in ranges(weeks)]}
    selection = chosen(keys)
    limit = FEEDBACK_LIMIT if feedback_alone(selection) else {}
    params = {
        "partitionsByAssets": [{"assetKey": {"path": list(key.path)}, "partitions": wanted} for key in selection],
        "title": f"rlhf backfill {weeks[0]} to {weeks[-1]}",
        "tags": [{"key": tag, "value": value} for tag, value in limit.items()],
    }
    return asked(instance, LAUNCH, {"params": params}, "launchPartitionBackfill")["backfillId"]


def cancel(instance: dg.DagsterInstance, backfill_id: str) -> None:
    """Have the daemon end a backfill and its runs; RlhfError when there is none of that id, or it has ended."""
    if (status := backfill_status(instance, backfill_id)).done:
        raise RlhfError(f"backfill {backfill_id} has ended already: {status.status.lower()}")
    asked(instance, CANCEL, {"id": backfill_id}, "cancelPartitionBackfill")


def asked(instance: dg.DagsterInstance, mutation: str, variables: Mapping[str, Any], field: str) -> dict[str, Any]:
    """What Dagster answers to a mutation on backfills; RlhfError when it refuses."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster_graphql.cli import execute_query

    target = ModuleTarget("rlhf_assets.definitions", attribute=None, working_directory=None, location_name=LOCATION)
    with WorkspaceProcessContext(instance, target) as workspace:
        answer = execute_query(workspace, mutation, dict(variables))
    if errors := answer.get("errors"):
        raise RlhfError(f"Dagster refused: {errors[0]['message']}")
    found = answer["data"][field]
    if "backfillId" not in found:
        raise RlhfError(f"Dagster refused: {found.get('message') or found['__typename']}")
    return found


@dataclass(frozen=True)
class BackfillStatus:
    """How far a backfill is; `runs` by status, as "SUCCESS": 1.

    Once it is done, `failures` and `skipped` say why steps made nothing, a line each.
    """

    status: str
    done: bool
    succeeded: bool
    runs: dict[str, int]
    failures: list[str]
    skipped: list[str]


def backfill_status(instance: dg.DagsterInstance, backfill_id: str) -> BackfillStatus:
    """How far that backfill is; RlhfError when there is none of that id."""
    from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES

    backfill = instance.get_backfill(backfill_id)
    if backfill is None:
        raise RlhfError(f"there is no backfill {backfill_id} in this Dagster")
    made = instance.get_runs(dg.RunsFilter.for_backfill(backfill_id))
    done = backfill.status in BULK_ACTION_TERMINAL_STATUSES
    entries = [entry for run in made for entry in instance.all_logs(run.run_id, TELLING)] if done else []
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    failures = [what_failed(event) for event in events if event.is_step_failure]
    if backfill.error:
        failures.append(backfill.error.message.strip())
    runs = dict(Counter(run.status.value for run in made))
    skipped = [reason for event in events if (reason := why_skipped(event))]
    # Dagster calls failed what an asset made nothing of, though the run went well and said why
    only_skipped = backfill.status.value == "COMPLETED_FAILED" and set(runs) == {"SUCCESS"} and bool(skipped)
    return BackfillStatus(
        status=backfill.status.value,
        done=done,
        succeeded=backfill.status.value == "COMPLETED_SUCCESS" or only_skipped,
        runs=runs,
        failures=failures,
        skipped=skipped,
    )
