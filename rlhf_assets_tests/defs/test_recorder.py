"""The recorder on runs of small assets that carry the models' names, however they end."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run, execute_run_iterator
from dagster._core.storage.tags import RETRY_NUMBER_TAG

from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.defs.small_models import (
    JOB,
    NEXT,
    WEEK,
    WEEKS,
    launch,
    ppo_policy,
    read,
    reward_model,
    rows,
    sft_policy,
    somebody_elses,
    tick,
    told,
)
from rlhf_assets_tests.policy.planted import good_figures


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


def test_a_policy_whose_reward_model_was_refused_in_its_run_is_skipped_with_the_reason(
    instance: dg.DagsterInstance, app_url: str
) -> None:
    """Its step is planned and never starts, as Dagster has it after any failure."""
    launch(instance, sft_policy, reward_model, ppo_policy, reward_model="refused")
    tick(instance)
    assert sorted(told(app_url)) == [("policy", "completed"), ("reward", "completed"), ("sft", "completed")]
    ((reason, path, over),) = read(
        app_url,
        "select metrics ->> 'skipped', model_path, end_time >= start_time from rlhf_training_runs "
        "where model_type = 'policy'",
    )
    assert (reason, path, over) == ("reward_model was refused: rejected: it likes length", None, True)


def test_a_policy_whose_reward_model_failed_never_was(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, reward_model, ppo_policy, reward_model="failed")
    tick(instance)
    assert told(app_url) == [("reward", "failed")]


def test_a_reason_that_several_have_is_told_once() -> None:
    from rlhf_assets.defs.training_runs.run_history import why_skipped_with

    assert why_skipped_with({"reward_model": "3 rows", "judge_model": "no votes", "sft_policy": "3 rows"}) == (
        "reward_model, sft_policy were skipped: 3 rows; judge_model was skipped: no votes"
    )
    assert why_skipped_with({}) == "what it is made from was skipped"


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
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", 0)
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


@pytest.mark.parametrize("hears", [True, False])
def test_a_run_past_its_time_limit_is_failed_and_one_that_a_person_stops_canceled(
    instance: dg.DagsterInstance, app_url: str, hears: bool
) -> None:
    """As Dagster's monitor goes about it: the run is told to stop, its step hears it or not, the run is ended."""
    job = JOB.get_subset(asset_selection={sft_policy.key})
    config = {"ops": {"sft_policy": {"config": {"how": "canceled" if hears else "made"}}}}

    def stop(message: str | None, end: Callable[[dg.DagsterRun], Any]) -> None:
        run = planned(instance, job, run_config=config)
        events = execute_run_iterator(InMemoryJob(job), run, instance)
        for event in events:
            if event.event_type is dg.DagsterEventType.STEP_START:
                instance.report_run_canceling(run, message)
                if not hears:
                    break
            if event.is_step_failure:
                break
        tick(instance)
        assert told(app_url)[-1] == ("sft", "started"), "who stopped it will be known soon"
        end(run)
        tick(instance)

    stop("Canceling due to exceeding maximum runtime of 30 seconds.", instance.report_run_failed)
    stop(None, instance.report_run_canceled)
    (_, first, overdue), (_, second, canceled) = rows(app_url)
    assert (first, overdue["error"]) == ("failed", "stopped at its time limit of 30 seconds")
    assert second == "canceled"
    assert "limit" not in canceled["error"]


def test_a_killed_run_of_this_host_is_failed_by_the_next_tick(instance: dg.DagsterInstance, app_url: str) -> None:
    from rlhf_assets.defs.automation.orphans import PROCESS

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    job = JOB.get_subset(asset_selection={sft_policy.key})
    run = planned(instance, job)
    instance.add_run_tags(run.run_id, {PROCESS: f"{socket.gethostname()} {gone.pid} {run.run_id}"})
    events = execute_run_iterator(InMemoryJob(job), run, instance)
    next(event for event in events if event.event_type is dg.DagsterEventType.STEP_START)
    tick(instance)
    assert told(app_url) == [("sft", "failed")]
    events.close()


def test_a_killed_training_ended_when_its_run_did(instance: dg.DagsterInstance, app_url: str) -> None:
    job = JOB.get_subset(asset_selection={sft_policy.key})
    run = planned(instance, job)
    events = execute_run_iterator(InMemoryJob(job), run, instance)
    next(event for event in events if event.event_type is dg.DagsterEventType.STEP_START)
    tick(instance)
    instance.report_run_failed(run)
    tick(instance)
    ended = instance.get_run_record_by_id(run.run_id)
    with psycopg.connect(app_url) as connection:
        recorded = connection.execute("select extract(epoch from end_time) from rlhf_training_runs").fetchall()
    assert ended
    assert [float(end) for (end,) in recorded] == [pytest.approx(ended.end_time, abs=0.001)]
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
    shutil.rmtree(os.environ["RLHF_ARTIFACTS"])
    tick(instance)
    ((model, status, metrics),) = rows(app_url)
    assert (model, status, metrics["week"]) == ("sft", "completed", WEEK)


def test_what_was_recorded_outlives_the_artifact(instance: dg.DagsterInstance, app_url: str) -> None:
    launch(instance, sft_policy)
    tick(instance)
    shutil.rmtree(os.environ["RLHF_ARTIFACTS"])
    tick(instance)
    with psycopg.connect(app_url) as connection:
        recorded = connection.execute("select metrics -> 'figures', model_path from rlhf_training_runs").fetchall()
    ((figures, path),) = recorded
    assert figures == {"loss": 0.5}
    assert path.startswith(os.environ["RLHF_ARTIFACTS"])


def test_a_broken_card_of_promotion_hides_no_verdict_and_stops_nothing(
    instance: dg.DagsterInstance, app_url: str
) -> None:
    launch(instance, ppo_policy)
    store = ArtifactStore(os.environ["RLHF_ARTIFACTS"])
    (policy,) = store.of_week("ppo_policy", WEEK)
    with store.draft("promotion", WEEK, "a-later-run") as draft:
        draft.commit("rejected", parents=[policy])
    broken = Path(os.environ["RLHF_ARTIFACTS"]) / "promotion" / WEEK / "broken" / "card.json"
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

    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", 0)
    launch(instance, ppo_policy)
    cursor = tick(instance)
    store = ArtifactStore(os.environ["RLHF_ARTIFACTS"])
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
