"""Feedback assets where there is nothing to be had: a week without votes, a database that says no."""

import re
from collections.abc import Iterator

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from rlhf_assets.defs.reward_model.checks import GATES
from rlhf_assets.feedback.weeks import first_week
from rlhf_assets.storage.artifacts import ArtifactStore

WEEK = first_week()  # as-of assets look at all weeks before
PLANTED = "hunter2-planted"
RAW = ("raw_message_feedback", "raw_step_feedback")
AT_ONCE = {"execution": {"config": {"in_process": {"retries": {"disabled": {}}}}}}  # waiting would mend nothing here


@pytest.fixture
def instance(settings: None, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RLHF_ARTIFACTS", str(store.root))
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_week_without_feedback_has_no_rows_and_trains_nothing(
    instance: dg.DagsterInstance, store: ArtifactStore
) -> None:
    from rlhf_assets.definitions import defs

    job = defs().resolve_job_def("weekly_rlhf")
    result = job.execute_in_process(instance=instance, partition_key=WEEK)
    assert result.success
    for asset in (*RAW, "clean_feedback", "quarantined_feedback"):
        assert store.require(asset, WEEK).card.counts == {"rows": 0}
    assert store.require("feedback_audit", WEEK).card.figures["votes"]["raw"] == 0
    assert set(store.require("reward_dataset", WEEK).card.counts.values()) == {0}
    assert store.require("policy_prompts", WEEK).card.counts == {"prompts": 0}
    refused = {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}
    assert refused == {"empty_week", *GATES}  # no model was made that could pass
    skipped = {event.asset_key.to_user_string() for event in result.get_asset_observation_events() if event.asset_key}
    assert skipped == {"reward_model", "judge_model", "sft_policy"}


@pytest.mark.parametrize(
    ("fault", "user", "said"),
    [
        (
            "drop table public.reasoning_steps cascade",
            "rlhf_pipeline",
            r"the view rlhf\.feedback is missing in this database; create it with `rlhf migrate`",
        ),
        (
            "alter view rlhf.feedback rename column response to answer",
            "rlhf_pipeline",
            r"the view rlhf\.feedback lacks response; run `rlhf migrate`, or add them where you edited the view",
        ),
        (
            "select 1",
            PLANTED,  # which the server then quotes as the name it does not know
            r'wrong credentials: .*role "\*\*\*" does not exist; check user and password in SUPABASE_DB_URL',
        ),
    ],
    ids=["missing table", "missing column", "wrong credentials"],
)
def test_what_a_person_can_mend_fails_the_step_in_one_line(
    instance: dg.DagsterInstance,
    store: ArtifactStore,
    admin: psycopg.Connection,
    app_url: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    user: str,
    said: str,
) -> None:
    from rlhf_assets.definitions import defs

    admin.execute(fault)
    monkeypatch.setenv("SUPABASE_DB_URL", app_url.replace("//rlhf_pipeline@", f"//{user}:{PLANTED}@"))
    job = defs().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(name) for name in RAW})
    run = instance.create_run_for_job(job, run_config=AT_ONCE, tags={"dagster/partition": WEEK})
    execute_run(InMemoryJob(job), run, instance)
    failed = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert len(failed) == len(RAW)
    for entry in failed:
        told = entry.get_dagster_event().step_failure_data.user_failure_data
        assert told
        assert re.fullmatch(said, told.description or "")  # a dot matches no line break
    assert PLANTED not in str(instance.all_logs(run.run_id))
    assert [store.all(asset) for asset in RAW] == [[], []]
