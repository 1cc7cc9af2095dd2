"""The recorder on runs of small assets that carry the models' names, however they end."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run, execute_run_iterator
from dagster._core.storage.tags import RETRY_NUMBER_TAG
from dagster._core.test_utils import instance_for_test

from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.policy.planted import good_figures

WEEK, NEXT = "2026-03-01", "2026-03-08"
WEEKS = dg.WeeklyPartitionsDefinition(start_date=WEEK, timezone="UTC")
Rows = list[tuple[Any, ...]]


class Ending(dg.Config):
    """How the step ends: made, failed, crashed, canceled, skipped."""

    how: str = "made"


def step(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    """A model asset that leaves an empty artifact."""
    asset, week = context.asset_key.to_user_string(), context.partition_key
    if config.how == "failed":
        raise dg.Failure(description="the loss is nan; lower the rate", allow_retries=False)
    if config.how == "crashed":
        raise ZeroDivisionError("secret text")
    if config.how == "canceled":
        raise DagsterExecutionInterruptedError
    if config.how == "skipped":
        context.log_event(dg.AssetObservation(asset_key=asset, partition=week, metadata={"skipped": "3 rows"}))
        return
    with ArtifactStore(ROOT[0]).draft(asset, week, context.run.run_id) as draft:
        made = draft.commit(figures={"loss": 0.5})
    yield dg.MaterializeResult(metadata={"artifact": made.relative_path})


ROOT: list[str] = []


@dg.asset(partitions_def=WEEKS, output_required=False)
def sft_policy(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    yield from step(context, config)


@dg.asset(partitions_def=WEEKS, output_required=False, deps=[sft_policy])
def ppo_policy(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    yield from step(context, config)


@dg.asset(partitions_def=WEEKS)
def somebody_elses(context: dg.AssetExecutionContext) -> None: ...


JOB = dg.Definitions(
    assets=[sft_policy, ppo_policy, somebody_elses], executor=dg.in_process_executor
).resolve_implicit_global_asset_job_def()


@pytest.fixture
def instance(settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RLHF_ARTIFACTS", str(tmp_path / "artifacts"))
    ROOT[:] = [str(tmp_path / "artifacts")]
    with instance_for_test() as instance:
        yield instance


def launch(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, tags: dict | None = None, **endings: str) -> Any:
    return JOB.execute_in_process(
        instance=instance,
        asset_selection=[asset.key for asset in assets],
        partition_key=WEEK,
        tags=tags,
        run_config={"ops": {name: {"config": {"how": how}} for name, how in endings.items()}},
        raise_on_error=False,
    )


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> str:
    """One evaluation of the sensor; returns its new cursor."""
    from rlhf_assets.defs.resources import Artifacts, Database
    from rlhf_assets.defs.training_runs.recorder import training_run_recorder

    resources = {"database": Database(), "artifacts": Artifacts()}
    with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
        data = training_run_recorder.evaluate_tick(context)
    assert data.cursor
    return data.cursor


def rows(url: str) -> Rows:
    query = "select model_type, training_status, metrics from rlhf_training_runs order by start_time, model_type"
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def told(url: str) -> list[tuple[str, str]]:
    return [(model, status) for model, status, _ in rows(url)]


def test_runs_from_before_the_first_tick_are_recorded(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, sft_policy)
    launch(instance, sft_policy, ppo_policy)
    cursor = tick(instance)
    assert sorted(told(app_url)) == [("policy", "completed"), ("sft", "completed"), ("sft", "completed")]
    assert tick(instance, cursor) == cursor
    assert len(rows(app_url)) == 3


def test_a_database_that_is_down_during_the_tick_loses_nothing(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = tick(instance, tick_of_an_earlier_run(instance))
    launch(instance, sft_policy)
    with monkeypatch.context() as patch:
        patch.setenv("SUPABASE_DB_URL", "postgresql://rlhf_pipeline:secret@127.0.0.1:9/app")
        with pytest.raises(Exception, match="nothing is lost") as failure:
            tick(instance, cursor)
    assert "secret" not in str(failure.value)
    launch(instance, sft_policy)
    tick(instance, cursor)
    assert told(app_url) == [("sft", "completed")] * 3


def tick_of_an_earlier_run(instance: dg.DagsterInstance) -> str:
    launch(instance, sft_policy)
    return tick(instance)


@pytest.mark.parametrize(
    ("endings", "expected"),
    [
        ({"sft_policy": "failed"}, [("sft", "failed")]),  # PPO was planned and never started
        ({"ppo_policy": "failed"}, [("policy", "failed"), ("sft", "completed")]),  # by asset, not by run
        ({"sft_policy": "canceled"}, [("sft", "canceled")]),
        ({"sft_policy": "skipped"}, [("policy", "completed"), ("sft", "completed")]),
    ],
)
def test_every_ending(
    instance: dg.DagsterInstance, app_url: str, endings: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    launch(instance, sft_policy, ppo_policy, **endings)
    tick(instance)
    assert sorted(told(app_url)) == expected


def test_a_skip_and_what_is_skipped_with_it_say_why(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, sft_policy, ppo_policy, sft_policy="skipped")
    tick(instance)
    reasons = {model: metrics["skipped"] for model, _, metrics in rows(app_url)}
    assert reasons == {"sft": "3 rows", "policy": "sft_policy was skipped: 3 rows"}


def test_a_failure_says_why_in_one_line_and_quotes_no_data(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, sft_policy, sft_policy="failed")
    launch(instance, sft_policy, sft_policy="crashed")
    tick(instance)
    reasons = [metrics["error"] for _, _, metrics in rows(app_url)]
    assert reasons == ["the loss is nan; lower the rate", "ZeroDivisionError"]


def planned(instance: dg.DagsterInstance, job: dg.JobDefinition, **how: Any) -> dg.DagsterRun:
    return instance.create_run_for_job(job, tags={"dagster/partition": WEEK, **how.pop("tags", {})}, **how)


def test_an_automatic_retry_is_the_same_row_and_one_by_hand_another(instance: dg.DagsterInstance, app_url: str) -> None:
    job = JOB.get_subset(asset_selection={sft_policy.key})
    first = launch(instance, sft_policy, sft_policy="failed").run_id
    again = planned(instance, job, parent_run_id=first, root_run_id=first, tags={RETRY_NUMBER_TAG: "1"})
    execute_run(InMemoryJob(job), again, instance)
    by_hand = planned(instance, job, parent_run_id=again.run_id, root_run_id=first)
    execute_run(InMemoryJob(job), by_hand, instance)
    tick(instance)
    found = [(status, metrics["attempt"], metrics["dagster_run_id"]) for _, status, metrics in rows(app_url)]
    assert found == [("completed", 2, again.run_id), ("completed", 1, by_hand.run_id)]


def test_a_run_under_way_is_started_and_a_killed_one_failed(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's record does not change when its steps start, so the cursor alone would not lead to it."""
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", timedelta(0))
    job = JOB.get_subset(asset_selection={sft_policy.key})
    run = planned(instance, job)
    events = execute_run_iterator(InMemoryJob(job), run, instance)
    next(event for event in events if event.event_type is dg.DagsterEventType.RUN_START)
    cursor = tick(instance)
    assert told(app_url) == []
    next(event for event in events if event.event_type is dg.DagsterEventType.STEP_START)
    tick(instance, cursor)
    assert told(app_url) == [("sft", "started")]
    instance.report_run_failed(run)  # as the monitor does when the process is gone
    tick(instance, cursor)
    assert told(app_url) == [("sft", "failed")]


def test_a_killed_run_of_this_host_is_failed_by_the_next_tick(instance: dg.DagsterInstance, app_url: str) -> None:
    from rlhf_assets.defs.automation.launch import PROCESS, process_of_this

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host, _, _ = process_of_this().partition(" ")
    job = JOB.get_subset(asset_selection={sft_policy.key})
    run = planned(instance, job, tags={PROCESS: f"{host} {gone.pid}"})
    events = execute_run_iterator(InMemoryJob(job), run, instance)
    next(event for event in events if event.event_type is dg.DagsterEventType.STEP_START)
    tick(instance)
    assert told(app_url) == [("sft", "failed")]
    events.close()


def test_a_run_over_several_weeks_is_a_row_a_week(instance: dg.DagsterInstance, app_url: str) -> None:
    range_tags = {"dagster/asset_partition_range_start": WEEK, "dagster/asset_partition_range_end": NEXT}

    @dg.asset(name="judge_model", partitions_def=WEEKS, backfill_policy=dg.BackfillPolicy.single_run())
    def judge_model() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    job = dg.Definitions(assets=[judge_model]).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, tags=range_tags).success
    tick(instance)
    assert [(model, status, metrics["week"]) for model, status, metrics in rows(app_url)] == [
        ("judge", "completed", WEEK),
        ("judge", "completed", NEXT),
    ]


def test_a_deleted_artifact_does_not_stop_the_recorder(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, sft_policy)
    shutil.rmtree(ROOT[0])
    tick(instance)
    ((model, status, metrics),) = rows(app_url)
    assert (model, status, metrics["week"]) == ("sft", "completed", WEEK)


def test_what_was_recorded_outlives_the_artifact(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, sft_policy)
    tick(instance)
    shutil.rmtree(ROOT[0])
    tick(instance)
    with psycopg.connect(app_url) as connection:
        recorded = connection.execute("select metrics -> 'figures', model_path from rlhf_training_runs").fetchall()
    ((figures, path),) = recorded
    assert figures == {"loss": 0.5}
    assert path.startswith(ROOT[0])


def test_a_broken_card_of_promotion_hides_no_verdict_and_stops_nothing(
    instance: dg.DagsterInstance, app_url: str
) -> None:
    launch(instance, ppo_policy)
    store = ArtifactStore(ROOT[0])
    (policy,) = store.of_week("ppo_policy", WEEK)
    with store.draft("promotion", WEEK, "a-later-run") as draft:
        draft.commit("rejected", parents=[policy])
    broken = Path(ROOT[0]) / "promotion" / WEEK / "broken" / "card.json"
    broken.parent.mkdir()
    broken.write_text("{")
    tick(instance)
    ((_, _, metrics),) = rows(app_url)
    assert metrics["gate"] == "rejected"


def test_a_policy_rejected_by_a_later_run_has_the_reasons_in_its_row(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlhf_assets.defs.evaluation.promotion import promotion
    from rlhf_assets.defs.resources import Artifacts

    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", timedelta(0))
    launch(instance, ppo_policy)
    cursor = tick(instance)
    store = ArtifactStore(ROOT[0])
    worse = good_figures()
    worse["win_rates"]["ppo_vs_sft"]["judge"] = {"low": 0.4}
    worse["policies"]["ppo"]["kl"] = 90.0
    with store.draft("policy_evaluation", WEEK, "an evaluation") as draft:
        draft.commit(parents=store.of_week("ppo_policy", WEEK), figures=worse)
    assert dg.materialize(
        [promotion], partition_key=WEEK, instance=instance, resources={"artifacts": Artifacts()}
    ).success
    tick(instance, cursor)
    ((model, status, metrics),) = rows(app_url)
    assert (model, status, metrics["gate"]) == ("policy", "completed", "rejected")
    unsure, far = metrics["reasons"]
    assert "as low as 0.40" in unsure
    assert "90.00 nats" in far


def test_a_tick_without_time_still_moves_on(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading again what lies before the cursor may take the whole budget."""
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.BUDGET_SECONDS", -1.0)
    for _ in range(3):
        launch(instance, sft_policy)
    cursor = None
    for recorded in (1, 2, 3):
        cursor = tick(instance, cursor)
        assert len(rows(app_url)) == recorded


def test_other_assets_are_nobodys_training(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, somebody_elses)
    tick(instance)
    assert rows(app_url) == []
