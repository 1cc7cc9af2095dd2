"""Runs whose process was killed, and how it is known."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test, instance_for_test

from rlhf_assets.defs.automation.launch import what_failed
from rlhf_assets.defs.automation.orphans import LATE, PROCESS, began, end_orphans, named, process_of_this
from rlhf_assets.defs.resources import Artifacts

HERE = socket.gethostname()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as instance:
        yield instance


@pytest.fixture
def gone() -> int:
    """A process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def under_way(instance: dg.DagsterInstance, process: str, parent: str | None = None) -> str:
    """A run that has noted that process, as "host number"; its id."""
    family = {"parent_run_id": parent, "root_run_id": parent} if parent else {}
    run = create_run_for_test(instance, status=DagsterRunStatus.STARTED, **family)
    if process:
        instance.add_run_tags(run.run_id, {PROCESS: f"{process} {run.run_id}"})
    return run.run_id


def test_a_run_whose_process_is_gone_is_failed_also_a_retry(instance: dg.DagsterInstance, gone: int) -> None:
    first = under_way(instance, f"{HERE} {gone}")
    killed = [first, under_way(instance, f"{HERE} {gone}", parent=first)]
    others = [under_way(instance, f"{HERE} {os.getpid()}"), under_way(instance, f"elsewhere {gone}")]
    others += [under_way(instance, "")]
    inherits = under_way(instance, "", parent=first)  # a retry that has only begun has its parent's tag
    instance.add_run_tags(inherits, {PROCESS: f"{HERE} {gone} {first}"})
    end_orphans(instance)
    assert {instance.get_run_by_id(run).status for run in killed} == {DagsterRunStatus.FAILURE}
    assert {instance.get_run_by_id(run).status for run in (*others, inherits)} == {DagsterRunStatus.STARTED}


def test_another_process_of_the_same_number_is_another_one(instance: dg.DagsterInstance) -> None:
    """As after the machine was started anew."""
    assert began(os.getpid()).isdigit()
    ours, theirs = under_way(instance, named(os.getpid())), under_way(instance, f"{HERE} {os.getpid()}-1")
    end_orphans(instance)
    assert instance.get_run_by_id(ours).status is DagsterRunStatus.STARTED
    assert instance.get_run_by_id(theirs).status is DagsterRunStatus.FAILURE


def test_a_run_of_a_machine_that_is_gone_is_failed_long_after_its_time_limit(instance: dg.DagsterInstance) -> None:
    """Where no daemon runs, as in a weekly job whose runner is another one each time."""
    limit = {"dagster/max_runtime": "3600"}
    before = {"late": time.time() - 3600 - LATE - 60, "in time": time.time() - 3600 - LATE + 600}
    begun = {**before, "no limit": before["late"], "odd limit": before["late"], "here": before["late"]}
    runs, limits = {}, {"no limit": {}, "odd limit": {"dagster/max_runtime": "1d"}}
    for name, start in begun.items():
        run = create_run_for_test(instance, tags=limits.get(name, limit))
        with patch("time.time", lambda start=start: start):
            instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", run.job_name), run.run_id)
        process = process_of_this() if name == "here" else "elsewhere 1"
        instance.add_run_tags(run.run_id, {PROCESS: f"{process} {run.run_id}"})
        runs[name] = run.run_id
    clock = "dagster._core.storage.runs.sql_run_storage.get_current_datetime"
    with patch(clock, lambda: datetime(2026, 1, 1, tzinfo=UTC)):  # it has waited in the queue ever since
        runs["starts"] = create_run_for_test(instance, status=DagsterRunStatus.STARTING, tags=limit).run_id
    end_orphans(instance)
    statuses = {name: instance.get_run_by_id(run).status for name, run in runs.items()}
    started = dict.fromkeys(["in time", "no limit", "odd limit", "here"], DagsterRunStatus.STARTED)
    assert statuses == {"late": DagsterRunStatus.FAILURE, "starts": DagsterRunStatus.STARTING, **started}


def test_what_a_killed_run_holds_is_freed_also_where_it_was_failed_already(
    instance: dg.DagsterInstance, gone: int
) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("lathe", 2)
    failed = [under_way(instance, f"{HERE} {process}") for process in (gone, os.getpid())]
    for run in failed:
        storage.claim_concurrency_slot("lathe", run, "ppo_policy")
        instance.report_run_failed(instance.get_run_by_id(run))
    end_orphans(instance)
    assert storage.get_concurrency_info("lathe").active_run_ids == {failed[1]}


def test_a_run_that_ends_while_it_is_looked_at_has_ended_well(
    instance: dg.DagsterInstance, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process writes how it ended and is gone, after the run was read and before the process is looked for."""
    run = under_way(instance, f"{HERE} {gone}")

    def ends(process: str) -> bool:
        instance.report_engine_event("over", instance.get_run_by_id(run))
        instance.run_storage.handle_run_event(
            run,
            dg.DagsterEvent(event_type_value=dg.DagsterEventType.PIPELINE_SUCCESS.value, job_name="x", message=""),
        )
        return False

    monkeypatch.setattr("rlhf_assets.defs.automation.orphans.alive", ends)
    end_orphans(instance)
    assert instance.get_run_by_id(run).status is DagsterRunStatus.SUCCESS


def made_here(tags: dict[str, str], noted: Connection) -> None:
    """One run in this process, which another one has started, as `rlhf demo` does with its stages."""

    @dg.asset
    def made(artifacts: Artifacts) -> None: ...

    with instance_for_test() as instance:
        run = dg.materialize([made], instance=instance, resources={"artifacts": Artifacts()}, tags=tags).run_id
        noted.send((process_of_this().split()[1], run, instance.get_run_by_id(run).tags[PROCESS]))


def in_a_process_of_its_own(noted: Connection, launched_here: bool) -> None:
    made_here({PROCESS: process_of_this()} if launched_here else {}, noted)


@pytest.mark.parametrize("launched_here", [True, False])
def test_a_run_in_a_process_that_another_one_started_is_that_processs_where_it_was_launched_there(
    launched_here: bool,
) -> None:
    ours, theirs = multiprocessing.Pipe()
    started = multiprocessing.get_context("spawn").Process(target=in_a_process_of_its_own, args=(theirs, launched_here))
    started.start()
    process, run, tag = ours.recv()
    started.join()
    assert tag == (f"{HERE} {process} {run}" if launched_here else f"{process_of_this()} {run}")


def test_a_step_notes_the_process_of_its_own_run(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def made(artifacts: Artifacts) -> None: ...

    for tags in ({}, {PROCESS: "elsewhere 1 of its parent"}):
        run = dg.materialize([made], instance=instance, resources={"artifacts": Artifacts()}, tags=tags).run_id
        assert instance.get_run_by_id(run).tags[PROCESS] == f"{process_of_this()} {run}"


@dg.op
def killed(context: dg.OpExecutionContext, artifacts: dg.ResourceParam[Artifacts]) -> None:
    Path(os.environ["NOTED"]).write_text(context.instance.get_run_by_id(context.run_id).tags[PROCESS])
    os.kill(os.getpid(), signal.SIGKILL)


@dg.job(resource_defs={"artifacts": Artifacts()})
def killed_job() -> None:
    killed()


def test_a_step_killed_for_its_memory_is_told_in_one_line_and_belongs_to_its_runs_process(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    # Dagster takes the first place where this module is found from the step's process
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
    with dg.execute_job(dg.reconstructable(killed_job), instance=instance) as result:
        (failed,) = [event for event in result.all_events if event.is_step_failure]
        assert what_failed(failed) == (
            "killed failed: the step's process was killed, most often because the machine had too little memory left"
        )
    assert (tmp_path / "noted").read_text() == f"{process_of_this()} {result.run_id}"
