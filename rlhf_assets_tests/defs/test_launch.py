"""What is stopped where it runs, and what a backfill says in the end."""

import logging
import signal
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._core.test_utils import instance_for_test

from rlhf_assets.commands.backfill import watch
from rlhf_assets.defs.automation.launch import materialize_weeks


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as instance:
        yield instance


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
