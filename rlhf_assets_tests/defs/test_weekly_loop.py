"""The whole loop on a real PostgreSQL with tiny real models, launched in every way there is.

The tests share one deployment and build on each other in the order of this file, as a deployment's weeks do.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_graphql.cli import execute_query

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.home import home
from rlhf_assets_tests.defs.feedback import TOPICS
from rlhf_assets_tests.defs.world import LAST, PATIENCE, WEEKS, World, until_done

FEEDBACK = ["raw_message_feedback", "raw_step_feedback", "clean_feedback", "quarantined_feedback", "feedback_audit"]
TYPES = {"reward_model": "reward", "judge_model": "judge", "sft_policy": "sft", "ppo_policy": "policy"}
UI_LAUNCH = """
mutation LaunchPipelineExecution($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on Error { message }
  }
}
"""


def backfill(world: World, workspace: WorkspaceProcessContext, assets: list[str], weeks: list[str]) -> Any:
    """As from `rlhf backfill`: asked for over GraphQL, launched by the daemon's own iteration; its last status."""
    launch = world.module("automation.launch")
    return until_done(world, workspace, launch.request_backfill(world.instance, assets, weeks))


def card_of(world: World, asset: str) -> str:
    """Run id of the accepted artifact of the last week."""
    return world.store.require(asset, LAST).card.run_id


def test_datasets_name_the_command_when_a_week_was_never_extracted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert not world.materialize("reward_dataset")
    assert f"rlhf backfill --from {WEEKS[0]} --to {LAST}" in caplog.text
    assert world.store.all("reward_dataset") == []


def test_a_canceled_backfill_ends_before_its_runs_start(world: World, workspace: WorkspaceProcessContext) -> None:
    launch = world.module("automation.launch")
    backfill_id = launch.request_backfill(world.instance, FEEDBACK, WEEKS)
    launch.cancel(world.instance, backfill_id)
    status = until_done(world, workspace, backfill_id)
    assert (status.status, status.succeeded, status.runs) == ("CANCELED", False, {})
    with pytest.raises(RlhfError, match="has ended already: canceled"):
        launch.cancel(world.instance, backfill_id)


def test_a_backfill_of_four_weeks_of_feedback_is_one_run(world: World, workspace: WorkspaceProcessContext) -> None:
    before = len(world.instance.get_runs())
    status = backfill(world, workspace, FEEDBACK, WEEKS)
    assert status.succeeded, status
    assert status.runs == {"SUCCESS": 1}
    assert len(world.instance.get_runs()) == before + 1
    assert world.last_run().tags["dagster/max_runtime"] == "14400"
    for week in WEEKS:
        rows = {asset: world.store.require(asset, week).card.counts["rows"] for asset in FEEDBACK[:4]}
        assert rows["raw_message_feedback"] + rows["raw_step_feedback"] == 250
        assert rows["clean_feedback"] + rows["quarantined_feedback"] == 250
    assert world.record() == 0, "feedback is no training"


def test_a_weekly_run_is_one_row_a_model(world: World) -> None:
    from rlhf_assets.definitions import defs

    result = (
        defs()
        .resolve_job_def("weekly_rlhf")
        .execute_in_process(instance=world.instance, partition_key=LAST, raise_on_error=False)
    )
    assert result.success
    world.record()
    rows = {row["model_type"]: row for row in world.rows()}
    assert sorted(rows) == sorted(TYPES.values())
    assert len(world.rows()) == 4
    assert {row["training_status"] for row in rows.values()} == {"completed"}
    for asset, kind in TYPES.items():
        metrics = rows[kind]["metrics"]
        assert (metrics["week"], metrics["dagster_run_id"], metrics["attempt"]) == (LAST, result.run_id, 1)
        assert metrics["code_version"]
        assert metrics["dataset_hash"]
        assert metrics["figures"]
        (artifact,) = world.store.of_week(asset, LAST)
        assert rows[kind]["model_path"] == str(artifact.folder)
        assert rows[kind]["start_time"] < rows[kind]["end_time"]
    verdict = world.store.newest("promotion", LAST, ("promoted", "rejected"))
    assert verdict is not None
    assert rows["policy"]["metrics"]["gate"] == verdict.card.status
    assert rows["policy"]["metrics"].get("reasons", []) == verdict.card.reasons
    assert world.record() == 0, "a second tick changes nothing"


def test_the_judge_has_chosen_the_round(world: World) -> None:
    card = world.store.require("ppo_policy", LAST, ("candidate", "promoted", "rejected")).card
    assert {parent.asset for parent in card.parents} == {"sft_policy", "reward_model", "judge_model", "policy_prompts"}
    judged = {row["update"]: row["judge"] for row in card.figures["judged"]}
    assert judged[card.figures["chosen_update"]] >= next(iter(judged.values()))
    assert not list((home() / "checkpoints" / "ppo_policy").glob("*"))


def test_an_estimate_of_ppo_stands_in_the_ui_and_leaves_nothing_behind(world: World) -> None:
    before = set(world.store.root.rglob("*"))
    assert world.materialize("ppo_estimate")
    (record,) = world.instance.fetch_materializations(dg.AssetKey("ppo_estimate"), limit=1).records
    told = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    parts = ["rollout", "scoring", "policy", "reference", "learning", "checkpoints", "loading_and_saving"]
    assert told["minutes"] == pytest.approx(sum(told[f"{part}_seconds"] for part in parts) / 60)
    assert told["memory_gb"] > 0.2
    assert set(world.store.root.rglob("*")) == before


def test_evaluation_compares_all_policies_by_judge_and_gold(world: World) -> None:
    figures = world.store.require("policy_evaluation", LAST).card.figures
    assert set(figures["policies"]) == {"base", "sft", "best_of_n", "ppo"}
    assert set(figures["win_rates"]["ppo_vs_sft"]) == {"judge", "gold", "length_controlled"}


def test_the_demos_summary_has_the_shape_that_the_readme_documents(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    from rlhf_assets.demo.summary import show_summary, summarise

    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.split("prints one object, also kept")[1].split("\n\n")[1]
    documented = {key for line in table.splitlines() for key in re.findall(r"`(\w+)`", line.split("|")[1])}
    summary = summarise(world.store, WEEKS[0], LAST)
    assert documented - summary.keys() == {"training_runs", "minutes", "reused", "peak_memory_gb"}  # the command's own
    assert summary.keys() <= documented
    assert summary["ratings"]["in"] == 1000
    assert summary["ratings"]["clean"] + sum(summary["ratings"]["quarantined"].values()) == 1000
    assert summary["artifacts"]["ppo_policy"].endswith(f"ppo_policy/{LAST}/{card_of(world, 'reward_model')}")
    show_summary({**summary, "minutes": {"sft": 2.0, "ppo": 1.5}, "reused": ["ppo"], "peak_memory_gb": 6.25})
    shown = capsys.readouterr().out
    assert "Minutes, 3.5 in all, at most 6.2 GB" in shown
    assert "1.5 (reused)" in shown
    assert summary["artifacts"]["promotion"] in shown


def test_no_metadata_holds_users_text(world: World) -> None:
    """Questions and answers in this deployment are made of words that nothing else is called."""
    words = {"useless", "vague", *TOPICS[-12:]} - {"port"}
    materializations = {dg.DagsterEventType.ASSET_MATERIALIZATION}
    for run in world.instance.get_runs():
        for entry in world.instance.all_logs(run.run_id, of_type=materializations):
            assert entry.asset_materialization is not None
            shown = str(entry.asset_materialization.metadata)
            assert not [word for word in words if word in shown]


def test_a_tag_says_which_assets_hold_what_people_wrote(world: World) -> None:
    from rlhf_assets.definitions import defs

    written = {"query", "response"}
    holding = {
        asset
        for asset in world.store.assets()
        for artifact in world.store.all(asset)
        for name in artifact.card.files
        if name.endswith(".parquet") and written & set(pq.read_schema(str(artifact.path(name))).names)
    }
    specs = defs().resolve_all_asset_specs()
    assert {spec.key.to_user_string() for spec in specs if spec.tags.get("holds") == "user_text"} == holding


def test_no_check_is_left_unmade_by_a_promotion_that_is_skipped(world: World) -> None:
    """The UI would show it as failed."""
    assert world.materialize("raw_message_feedback", "promotion", week=WEEKS[0])
    assert world.store.of_week("promotion", WEEKS[0]) == []
    event = dg.DagsterEventType
    types = {event.ASSET_CHECK_EVALUATION_PLANNED, event.ASSET_CHECK_EVALUATION}
    told = [entry.get_dagster_event() for entry in world.instance.all_logs(world.last_run().run_id, of_type=types)]
    planned, made = ([one.event_specific_data.check_name for one in told if one.event_type is kind] for kind in types)
    assert planned == made == ["switched_on"]


def test_a_materialization_from_the_shell_is_one_row_a_model(world: World) -> None:
    command = [
        sys.executable, "-m", "dagster", "asset", "materialize", "-m", "rlhf_assets.definitions",
        "--select", "judge_model", "--partition", LAST,
    ]  # fmt: skip
    environment = {**os.environ, "DAGSTER_HOME": world.instance.root_directory}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr[-2000:]
    before = len(world.rows())
    world.record()
    assert [row["model_type"] for row in world.rows(world.last_run().run_id)] == ["judge"]
    assert len(world.rows()) == before + 1


def test_a_materialization_of_several_weeks_is_a_row_a_week(world: World) -> None:
    launch = world.module("automation.launch")
    before = len(world.rows())
    assert launch.materialize_weeks(world.instance, ["reward_dataset", "sft_policy"], WEEKS[2:])
    world.record()
    new = world.rows()[before:]
    assert [(row["model_type"], row["metrics"]["week"]) for row in new] == [("sft", week) for week in WEEKS[2:]]


def test_a_backfill_of_models_is_a_run_and_a_row_a_week(world: World, workspace: WorkspaceProcessContext) -> None:
    before = len(world.rows())
    status = backfill(world, workspace, ["reward_model"], WEEKS[2:])
    assert status.succeeded, status
    assert status.runs == {"SUCCESS": 2}
    world.record()
    assert len(world.rows()) == before + 2
    new = {row["metrics"]["week"]: row for run in world.instance.get_runs(limit=2) for row in world.rows(run.run_id)}
    assert sorted(new) == WEEKS[2:]
    assert {(row["model_type"], row["training_status"]) for row in new.values()} == {("reward", "completed")}


def test_a_launch_from_the_ui_is_one_row_a_model(world: World, workspace: WorkspaceProcessContext) -> None:
    """What the UI sends for one week of two models, run by a process of its own."""
    checks = [spec.name for spec in world.module("reward_model.checks").checks_of("judge_model")]
    selector = {
        "repositoryLocationName": world.module("automation.launch").LOCATION,
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": ["judge_model"]}, {"path": ["sft_policy"]}],
        "assetCheckSelection": [{"assetKey": {"path": ["judge_model"]}, "name": name} for name in checks],
    }
    asked = {
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": LAST}]},
        "runConfigData": json.dumps(
            {"execution": {"config": {"in_process": {}}}}
        ),  # a process a step takes twice as long
        "selector": selector,
    }
    before = len(world.rows())
    answer = execute_query(workspace, UI_LAUNCH, {"executionParams": asked})
    run_id = answer["data"]["launchPipelineExecution"]["run"]["id"]
    deadline = time.monotonic() + PATIENCE
    while not (run := world.instance.get_run_by_id(run_id)).is_finished and time.monotonic() < deadline:
        world.record()
        time.sleep(0.5)
    assert run.is_success
    world.record()
    assert sorted(row["model_type"] for row in world.rows(run_id)) == ["judge", "sft"]
    assert {row["training_status"] for row in world.rows(run_id)} == {"completed"}
    assert len(world.rows()) == before + 2


def test_a_device_chosen_in_the_launchpad_is_what_a_model_is_trained_on(world: World) -> None:
    made = {}
    for precision in ("fp32", "bf16"):
        assert world.materialize("judge_model", compute={"device": "cpu", "precision": precision})
        model = world.store.of_run("judge_model", LAST, world.last_run().run_id)
        assert model is not None
        assert model.card.figures["compute"] == f"cpu {precision}"
        made[precision] = model.card.files["model.safetensors"]
    assert made["fp32"] != made["bf16"]


def test_an_experiment_feeds_no_policy(world: World) -> None:
    good = card_of(world, "reward_model")
    assert world.materialize("reward_model", config={"reward_model": {"epochs": 4}})
    trial = world.store.of_run("reward_model", LAST, world.last_run().run_id)
    assert trial is not None
    assert trial.card.status == "experiment"
    assert world.materialize("ppo_policy")
    policy = world.store.newest("ppo_policy", LAST, ("candidate",))
    assert policy is not None
    assert policy.card.run_id == world.last_run().run_id
    (reward,) = [parent for parent in policy.card.parents if parent.asset == "reward_model"]
    assert world.store.open(reward.path).card.run_id == good


def test_a_failed_training_is_a_failed_row_and_touches_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    before = [artifact.card for artifact in world.store.all("reward_model")]
    assert not world.materialize("reward_model", "ppo_policy", config={"reward_model": {"learning_rate": 1e30}})
    assert "lower learning_rate" in caplog.text
    world.record()
    (row,) = world.rows(world.last_run().run_id)
    assert (row["model_type"], row["training_status"], row["model_path"]) == ("reward", "failed", None)
    assert "lower learning_rate" in row["metrics"]["error"]
    assert "\n" not in row["metrics"]["error"]
    assert [artifact.card for artifact in world.store.all("reward_model")] == before


def test_a_run_whose_process_was_killed_ends_and_frees_its_slot_when_the_next_one_starts(world: World) -> None:
    launch, storage = world.module("automation.launch"), world.instance.event_log_storage
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    process_tag = world.module("automation.orphans").PROCESS
    dead, alive = (
        world.instance.create_run_for_job(launch.asset_job(), status=dg.DagsterRunStatus.STARTED) for _ in range(2)
    )
    for run, process in ((dead, gone.pid), (alive, os.getpid())):
        world.instance.add_run_tags(run.run_id, {process_tag: f"{socket.gethostname()} {process} {run.run_id}"})
    storage.set_concurrency_slots("lathe", 1)
    storage.claim_concurrency_slot("lathe", dead.run_id, "ppo_policy")
    assert world.materialize("raw_message_feedback")
    statuses = [world.instance.get_run_by_id(run.run_id).status for run in (dead, alive)]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
    assert storage.get_concurrency_info("lathe").active_slot_count == 0
    assert process_tag in world.last_run().tags
    world.instance.report_run_failed(alive)


def test_too_few_rows_are_skipped_with_the_reason_and_so_is_what_needs_them(world: World) -> None:
    assert world.materialize("reward_model", "ppo_policy", config={"reward_model": {"minimum_rows": 10**6}})
    world.record()
    rows = {row["model_type"]: row for row in world.rows(world.last_run().run_id)}
    assert sorted(rows) == ["policy", "reward"]
    for row in rows.values():
        assert row["training_status"] == "completed"
        assert row["model_path"] is None
        assert "fewer than minimum_rows 1000000" in row["metrics"]["skipped"]


def test_a_rejected_reward_model_feeds_no_policy(world: World) -> None:
    """In a week of its own, where no other reward model is there to be used."""
    week = WEEKS[1]
    assert world.materialize("reward_dataset", "policy_prompts", "sft_policy", week=week)
    untested = {"minimum_test_questions": 10**6}
    assert world.materialize("reward_model", "ppo_policy", week=week, config={"reward_model": untested})
    world.record()
    rows = {row["model_type"]: row for row in world.rows(world.last_run().run_id)}
    assert rows["reward"]["metrics"]["gate"] == "rejected"
    assert rows["reward"]["metrics"]["reasons"]
    assert "rejected" in rows["policy"]["metrics"]["skipped"]
    assert world.store.of_week("ppo_policy", week) == []
