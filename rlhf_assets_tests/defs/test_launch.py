"""Runs whose process was killed, and what a backfill says in the end."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._core.test_utils import create_run_for_test, instance_for_test

from rlhf_assets.commands.backfill import watch
from rlhf_assets.defs.automation.launch import (
    PROCESS,
    end_orphans,
    materialize_weeks,
    note_process,
    process_of_this,
    taken_pools,
    what_failed,
)
from rlhf_assets.defs.resources import ComputeResource


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as instance:
        yield instance


def test_only_a_run_whose_own_process_is_gone_is_failed(instance: dg.DagsterInstance) -> None:
    host, _, _ = process_of_this().partition(" ")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = f"{host} {gone.pid}"

    def run(process: str | None, parent: str | None = None) -> str:
        tags = {PROCESS: process} if process else {}
        family = {"parent_run_id": parent, "root_run_id": parent} if parent else {}
        return create_run_for_test(instance, tags=tags, status=DagsterRunStatus.STARTED, **family).run_id

    killed = run(dead)
    others = [run(process_of_this()), run(f"elsewhere {gone.pid}"), run(None), run(dead, parent=killed)]
    end_orphans(instance)
    assert [instance.get_run_by_id(r).status for r in (killed, *others)] == [
        DagsterRunStatus.FAILURE,
        *[DagsterRunStatus.STARTED] * 4,
    ]


def test_a_pool_that_another_run_has_taken_is_named_with_that_run(instance: dg.DagsterInstance) -> None:
    storage, needed = instance.event_log_storage, [dg.AssetKey("reward_model"), dg.AssetKey("clean_feedback")]
    storage.set_concurrency_slots("gpu", 1)
    assert taken_pools(instance, needed) == []
    run = create_run_for_test(instance, tags={"dagster/partition": "2026-11-15"}).run_id
    storage.claim_concurrency_slot("gpu", run, "ppo_policy")
    assert taken_pools(instance, needed) == [
        f"the pool gpu is taken by ppo_policy of 2026-11-15 (run {run}) until that ends"
    ]
    assert taken_pools(instance, needed[1:]) == []
    storage.set_concurrency_slots("gpu", 2)
    assert taken_pools(instance, needed) == []


@dg.asset(partitions_def=dg.WeeklyPartitionsDefinition(start_date="2026-03-01", timezone="UTC"))
def stopped() -> None:
    signal.raise_signal(signal.SIGINT)


def test_what_is_stopped_by_ctrl_c_is_canceled_and_said_in_a_line(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = dg.Definitions(assets=[stopped]).resolve_implicit_global_asset_job_def()
    monkeypatch.setattr("rlhf_assets.defs.automation.launch.asset_job", lambda: job)
    with caplog.at_level(logging.INFO, logger="rlhf_assets"):
        assert not materialize_weeks(instance, ["stopped"], ["2026-03-01", "2026-03-08"])
    (run,) = instance.get_runs()
    assert run.status is DagsterRunStatus.CANCELED
    assert [record.message for record in caplog.records if record.name.startswith("rlhf_assets")] == [
        "run 1 of 2: 2026-03-01",
        "stopped was canceled",
    ]


def test_a_step_notes_the_process_of_its_run_whoever_launched_it(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def trained(compute: ComputeResource) -> None: ...

    def tag_of(**launched: Any) -> str:
        run = dg.materialize([trained], instance=instance, resources={"compute": ComputeResource()}, **launched)
        return instance.get_run_by_id(run.run_id).tags[PROCESS]

    assert tag_of() == process_of_this()
    assert tag_of(tags={PROCESS: "elsewhere 1"}) == "elsewhere 1"


def noting(context: dg.InitResourceContext) -> None:
    assert context.instance
    assert context.run
    note_process(context.instance, context.run)


@dg.op
def killed(context: dg.OpExecutionContext, compute: dg.ResourceParam[object]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dg.job(resource_defs={"compute": dg.ResourceDefinition(noting)})
def killed_job() -> None:
    killed()


def test_a_step_killed_for_its_memory_is_told_in_one_line_and_belongs_to_its_runs_process(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dagster takes the first place where this module is found from the step's process
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
    with dg.execute_job(dg.reconstructable(killed_job), instance=instance) as result:
        (failed,) = [event for event in result.all_events if event.is_step_failure]
        assert what_failed(failed) == (
            "killed failed: the step's process was killed, most often because the machine had too little memory left"
        )
    assert instance.get_run_by_id(result.run_id).tags[PROCESS] == process_of_this()


@dg.asset
def refused() -> None:
    raise dg.Failure(description="there is no table; make one")


@dg.asset(output_required=False)
def without_rows(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    context.log_event(dg.AssetObservation(asset_key=context.asset_key, metadata={"skipped": "3 rows"}))
    yield from ()


def test_a_backfill_that_is_done_says_why_steps_made_nothing(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    instance.add_backfill(
        PartitionBackfill(
            backfill_id="ended",
            status=BulkActionStatus.COMPLETED_FAILED,
            from_failure=False,
            tags={},
            backfill_timestamp=0.0,
        )
    )
    dg.materialize([refused, without_rows], instance=instance, tags={BACKFILL_ID_TAG: "ended"}, raise_on_error=False)
    with caplog.at_level(logging.INFO, logger="rlhf_assets"):
        assert watch(instance, "ended") is False
    told = {(record.levelname, record.message) for record in caplog.records}
    assert ("ERROR", "refused failed: there is no table; make one") in told
    assert ("WARNING", "without_rows skipped: 3 rows") in told
