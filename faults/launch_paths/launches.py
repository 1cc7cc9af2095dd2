"""Every way to launch a training, gone once, and the rows that must come of it."""

import json
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from faults.launch_paths.deployment import Deployment, ticks_of, until
from rlhf_assets.commands.instance import open_instance
from rlhf_assets.feedback.weeks import bounds
from rlhf_assets_tests.defs.world import WEEKS

FIRST, SECOND, THIRD, FOURTH = WEEKS
SCHEDULE = "weekly_rlhf_schedule"
FEEDBACK = ("raw_message_feedback", "raw_step_feedback", "clean_feedback", "feedback_audit")
TYPES = {"reward_model": "reward", "judge_model": "judge", "sft_policy": "sft", "ppo_policy": "policy"}
LONG = {"epochs": 100_000}  # a training that nobody waits for
IN_ONE_PROCESS: Mapping[str, object] = {"in_process": {}}  # a process a step takes twice as long
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on Error { message }
  }
}
"""
TERMINATE = """
mutation Terminate($run: String!) {
  terminateRun(runId: $run) { __typename ... on Error { message } }
}
"""


@dataclass(frozen=True)
class Launched:
    """What was launched: its runs, the rows that must come of them as (asset, week), and how those must read."""

    runs: list[str]
    rows: list[tuple[str, str]]
    status: str = "completed"
    attempt: int = 1
    in_turn: bool = False  # a week's models after those of the week before
    metrics: Callable[[Mapping[str, Any]], bool] = lambda metrics: bool(metrics["figures"])


def since(deployment: Deployment, launch: Callable[[], object]) -> list[str]:
    """The runs that this launches, oldest first."""
    before = {run.run_id for run in deployment.instance.get_runs()}
    launch()
    return [run.run_id for run in reversed(deployment.instance.get_runs()) if run.run_id not in before]


def prepare(deployment: Deployment) -> None:
    """Two weeks of feedback and their datasets, as an operator's first backfill leaves them."""
    launch = deployment.module("automation.launch")
    assert launch.materialize_weeks(deployment.instance, FEEDBACK, [FIRST, SECOND])  # noqa: S101
    assert launch.materialize_weeks(deployment.instance, ["reward_dataset"], [FIRST, SECOND])  # noqa: S101


def by_asset_materialize(deployment: Deployment) -> Launched:
    chosen = ("--select", "judge_model", "--partition", SECOND)
    command = ("dagster", "asset", "materialize", "-m", "rlhf_assets.definitions", *chosen)
    return Launched(since(deployment, lambda: deployment.command(*command)), [("judge_model", SECOND)])


def down_for_two_sundays(deployment: Deployment) -> None:
    """Leave the schedule as a daemon does that was stopped before the third week closed."""
    target = ModuleTarget("rlhf_assets.definitions", None, None, "rlhf_assets")
    with open_instance() as instance, WorkspaceProcessContext(instance, target) as workspace:
        location = workspace.create_request_context().get_code_location("rlhf_assets")
        schedule = location.get_repository("__repository__").get_schedule(SCHEDULE)
    stopped = ScheduleInstigatorData(schedule.cron_schedule, bounds(THIRD)[0].timestamp() + 3 * 3600)
    origin, kind = schedule.get_remote_origin(), InstigatorType.SCHEDULE
    deployment.instance.add_instigator_state(InstigatorState(origin, kind, InstigatorStatus.DECLARED_IN_CODE, stopped))


def by_schedule(deployment: Deployment) -> Launched:
    """The Sundays that were missed, which the daemon makes up for by itself."""
    (tick,) = until("the schedule's tick", lambda: [tick for tick in ticks_of(deployment, SCHEDULE) if tick.is_success])
    runs = list(tick.run_ids)
    deployment.ended(*runs)
    return Launched(runs, [(asset, week) for week in (THIRD, FOURTH) for asset in TYPES], in_turn=True)


def by_job_backfill(deployment: Deployment) -> Launched:
    chosen = ("-w", "workspace.yaml", "-j", "weekly_rlhf", "--partitions", FIRST, "--noprompt")
    runs = since(deployment, lambda: deployment.command("dagster", "job", "backfill", *chosen))
    deployment.ended(*runs)
    return Launched(runs, [(asset, FIRST) for asset in TYPES])


def by_dg(deployment: Deployment) -> Launched:
    command = ("dg", "launch", "--assets", "sft_policy", "--partition", SECOND)
    return Launched(since(deployment, lambda: deployment.command(*command)), [("sft_policy", SECOND)])


def by_asset_backfill(deployment: Deployment) -> Launched:
    chosen = ("--from", FIRST, "--to", SECOND, "--assets", "judge_model", "--wait")
    runs = since(deployment, lambda: deployment.command("rlhf", "backfill", *chosen))
    return Launched(runs, [("judge_model", week) for week in (FIRST, SECOND)])


def by_rlhf_train(deployment: Deployment) -> Launched:
    runs = since(deployment, lambda: deployment.command("rlhf", "train", "reward", "--week", SECOND))
    return Launched(runs, [("reward_model", SECOND), ("judge_model", SECOND)])


def ask(
    deployment: Deployment,
    asset: str,
    config: Mapping[str, object] | None = None,
    executor: Mapping[str, object] = IN_ONE_PROCESS,
    **tags: str,
) -> str:
    """Launch that asset of the second week as the UI does; returns the run."""
    form = {"ops": {asset: {"config": config or {}}}, "execution": {"config": executor}}
    tagged = {"dagster/partition": SECOND, **{f"dagster/{name}": value for name, value in tags.items()}}
    params = {
        "mode": "default",
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tagged.items()]},
        "runConfigData": json.dumps(form),
        "selector": {
            "repositoryLocationName": "rlhf_assets",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        },
    }
    told = deployment.graphql(LAUNCH, params=params)
    if "run" not in told:
        raise AssertionError(f"the webserver refused: {told}")
    return str(told["run"]["id"])


def by_ui(deployment: Deployment) -> Launched:
    run = ask(deployment, "judge_model")
    deployment.ended(run)
    return Launched([run], [("judge_model", SECOND)])


def skipped(deployment: Deployment) -> Launched:
    run = ask(deployment, "judge_model", {"minimum_rows": 10**6})
    deployment.ended(run)
    return Launched([run], [("judge_model", SECOND)], metrics=lambda told: "minimum_rows" in told["skipped"])


def refused(deployment: Deployment) -> Launched:
    """By the project's own bounds, as nothing else ends the run; an experiment is only warned."""
    strict = deployment.folder / "strict.toml"
    own = Path(os.environ["RLHF_SETTINGS"]).read_text()
    strict.write_text(own.replace("minimum_test_questions = 1", f"minimum_test_questions = {10**6}"))
    command = ("rlhf", "train", "reward", "--week", SECOND)
    runs = since(deployment, lambda: deployment.command(*command, exits=1, RLHF_SETTINGS=str(strict)))
    return Launched(
        runs,
        [("reward_model", SECOND), ("judge_model", SECOND)],
        metrics=lambda told: told["gate"] == "rejected" and bool(told["reasons"]),
    )


def retried(deployment: Deployment) -> Launched:
    first = ask(deployment, "judge_model")
    kill(deployment, first)
    deployment.ended(first)
    again = until(
        "the retry", lambda: deployment.instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": first}))
    )
    deployment.ended(again[0].run_id)
    return Launched([first, again[0].run_id], [("judge_model", SECOND)], attempt=2)


def crashed(deployment: Deployment) -> Launched:
    run = ask(deployment, "judge_model", max_retries="0")
    kill(deployment, run)
    deployment.ended(run)
    return Launched([run], [("judge_model", SECOND)], "failed", metrics=lambda told: bool(told["error"]))


def kill(deployment: Deployment, run: str) -> None:
    """End the process of that run at once, as the kernel does, while its training is under way."""
    os.kill(process_of(deployment, run), signal.SIGKILL)


def process_of(deployment: Deployment, run: str) -> int:
    """The process in which the run's training has begun."""

    def found() -> list[int]:
        entries = deployment.instance.all_logs(run)
        begun = any(entry.dagster_event and entry.dagster_event.is_step_start for entry in entries)
        told = [re.search(r"\(pid: (\d+)\)", entry.user_message or entry.message or "") for entry in entries]
        return [int(match.group(1)) for match in told if match and begun]

    return until(f"the training of run {run}", found)[0]


def train_stopped(deployment: Deployment, how: signal.Signals) -> list[str]:
    """The run of an `rlhf train` that gets this signal in the middle of its training."""
    before = {run.run_id for run in deployment.instance.get_runs()}
    command = ("train", "reward", "--week", SECOND, "--epochs", str(LONG["epochs"]))
    with deployment.running("rlhf", *command) as process:
        (run,) = until(
            "rlhf train", lambda: [r.run_id for r in deployment.instance.get_runs() if r.run_id not in before]
        )
        until("its training", lambda: started(deployment, run))
        process.send_signal(how)
        process.wait()
        deployment.ended(run)  # a killed one by the recorder's next tick
    return [run]


def started(deployment: Deployment, run: str) -> bool:
    """Whether the row of that run says so."""
    return any(row["training_status"] == "started" for row in deployment.rows(run))


def train_canceled(deployment: Deployment) -> Launched:
    runs = train_stopped(deployment, signal.SIGINT)
    return Launched(runs, [("judge_model", SECOND)], "canceled", metrics=lambda told: bool(told["error"]))


def train_killed(deployment: Deployment) -> Launched:
    runs = train_stopped(deployment, signal.SIGKILL)
    return Launched(runs, [("judge_model", SECOND)], "failed", metrics=lambda told: bool(told["error"]))


def under_way(deployment: Deployment) -> Launched:
    """A training that goes on until somebody stops it."""
    run = ask(deployment, "judge_model", LONG)
    until("its training", lambda: started(deployment, run))
    return Launched([run], [("judge_model", SECOND)], "started", metrics=lambda told: "figures" not in told)


def terminated(deployment: Deployment) -> Launched:
    """The training under way, stopped as the UI does."""
    (run,) = deployment.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    told = deployment.graphql(TERMINATE, run=run.run_id)
    if told["__typename"] != "TerminateRunSuccess":
        raise AssertionError(f"the webserver refused: {told}")
    deployment.ended(run.run_id)
    return Launched([run.run_id], [("judge_model", SECOND)], "canceled", metrics=lambda told: bool(told["error"]))
