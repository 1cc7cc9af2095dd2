"""reindex, after Dagster's database was lost: what it knows of the artifacts again, and which rows it ends."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.defs.reporting import report
from rlhf_assets.feedback.weeks import earlier, last_closed_week
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.home import artifact_root
from rlhf_assets_tests.commands.runner import rlhf

WEEK = last_closed_week()
BEFORE = earlier(WEEK, 1)
WEEKS = dg.WeeklyPartitionsDefinition(start_date=BEFORE, timezone="UTC")


def commit(asset: str, week: str, run_id: str, **figures: float) -> Artifact:
    with ArtifactStore(artifact_root()).draft(asset, week, run_id) as draft:
        (draft.folder / "rows").write_text(f"{asset} {week} {run_id}")
        return draft.commit(figures=figures)


def step(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    asset, week = context.asset_key.to_user_string(), context.partition_key
    return report(context, {week: commit(asset, week, context.run.run_id, mse=0.25)}, asset)


@dg.asset(partitions_def=WEEKS)
def reward_model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return step(context)


@dg.asset(partitions_def=WEEKS, deps=[reward_model])
def a_follower(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return step(context)


ASSETS = [reward_model, a_follower]


@pytest.fixture
def lost(settings: None, dagster_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    """Two weeks of two assets, made by runs of a Dagster whose database is gone."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    for week in (BEFORE, WEEK):
        assert dg.materialize(ASSETS, partition_key=week, instance=dg.DagsterInstance.ephemeral()).success
    return ArtifactStore(artifact_root())


def shown(instance: dg.DagsterInstance, asset: str) -> list[dict[str, Any]]:
    """What Dagster has been told of each artifact of that asset, newest first."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=10).records
    events = [record.asset_materialization for record in records]
    return [{name: value.value for name, value in event.metadata.items()} for event in events if event]


def test_weeks_figures_and_versions_are_back_and_nothing_is_told_twice(lost: ArtifactStore) -> None:
    assert json.loads(rlhf("reindex", "--json").stdout) == {
        "told": {"a_follower": 2, "reward_model": 2},
        "rows_ended": 0,
    }
    with open_instance() as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("reward_model")) == {BEFORE, WEEK}
        newest = shown(instance, "reward_model")[0]
        (artifact,) = lost.of_week("reward_model", WEEK)
        assert (newest["artifact"], newest["mse"]) == (artifact.relative_path, 0.25)
        graph = dg.Definitions(assets=ASSETS).resolve_asset_graph()
        statuses = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        found = {(asset, week): statuses.get_status(dg.AssetKey(asset), week)
                 for asset in ("reward_model", "a_follower") for week in (BEFORE, WEEK)}  # fmt: skip
        assert set(found.values()) == {StaleStatus.FRESH}
        version = instance.get_latest_materialization_event(dg.AssetKey("reward_model")).tags["dagster/data_version"]
        assert version == artifact.card.content_hash
    assert rlhf("reindex").stdout == "0 artifacts told to Dagster; 0 rows of rlhf_training_runs ended\n"


def test_doctor_notices_what_is_lost(lost: ArtifactStore) -> None:
    def found() -> dict[str, Any]:
        (history,) = [
            one for one in json.loads(rlhf("doctor", "--json").stdout)["findings"] if one["name"] == "history"
        ]
        return history

    assert found()["ok"] is None
    assert "2 of a_follower, 2 of reward_model" in found()["detail"]
    assert "rlhf reindex" in found()["mend"]
    rlhf("reindex")
    assert found()["ok"] is True
    broken = commit("a_third", WEEK, "a run")
    Path(str(broken.folder), "card.json").write_text("{")
    assert found()["ok"] is True, "a broken card is no matter of Dagster's"
    with open_instance() as instance:
        job = dg.Definitions(assets=ASSETS).resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        commit("a_fourth", WEEK, run.run_id)
        assert found()["ok"] is True, "its step tells of it when it ends"
        instance.report_run_failed(run)
        assert "1 of a_fourth" in found()["detail"]


def test_what_came_after_an_older_backup_is_told_and_what_came_before_is_not(lost: ArtifactStore) -> None:
    """A step that was killed once its artifact was there has not told of it; its retry's is the week's newest."""
    with open_instance() as instance:
        assert dg.materialize([reward_model], partition_key=WEEK, instance=instance).success
    later = commit("reward_model", WEEK, "a run since the backup")
    told = json.loads(rlhf("reindex", "--json").stdout)["told"]
    assert told == {"a_follower": 2, "reward_model": 2}  # of the week before, and the later one
    killed, retried, _ = lost.of_week("reward_model", WEEK)
    with open_instance() as instance:
        names = [event["artifact"] for event in shown(instance, "reward_model")]
    assert names[0] == later.relative_path
    assert retried.relative_path in names
    assert killed.relative_path not in names


def test_a_broken_card_costs_its_week_alone(lost: ArtifactStore, caplog: pytest.LogCaptureFixture) -> None:
    (broken,) = lost.of_week("reward_model", BEFORE)
    Path(str(broken.folder), "card.json").write_text("{")
    assert json.loads(rlhf("reindex", "--json").stdout)["told"] == {"a_follower": 2, "reward_model": 1}
    assert f"reward_model of week {BEFORE} is left out" in caplog.text


def test_rows_that_nobody_would_end_are_ended(lost: ArtifactStore, app_url: str) -> None:
    (artifact,) = lost.of_week("reward_model", WEEK)
    insert = "insert into rlhf_training_runs (model_type, training_status, metrics) values (%s, 'started', %s)"
    with psycopg.connect(app_url) as connection:
        for model_type, run_id in (("reward", artifact.card.run_id), ("policy", "a run before the loss")):
            metrics = {"week": WEEK, "dagster_run_id": run_id, "attempt": 1}
            connection.execute(insert, [model_type, json.dumps(metrics)])
    assert json.loads(rlhf("reindex", "--json").stdout)["rows_ended"] == 2
    rows = {row["model_type"]: row for row in json.loads(rlhf("runs", "--json").stdout)["runs"]}
    assert len(rows) == 2
    assert (rows["reward"]["training_status"], rows["reward"]["model_path"]) == ("completed", str(artifact.folder))
    assert rows["reward"]["metrics"]["figures"] == {"mse": 0.25}
    assert (rows["policy"]["training_status"], rows["policy"]["model_path"]) == ("failed", None)
    assert "no longer knows the run" in rows["policy"]["metrics"]["error"]
    assert rows["policy"]["end_time"]


def test_a_training_under_way_is_not_ended(lost: ArtifactStore, app_url: str) -> None:
    with open_instance() as instance:
        job = dg.Definitions(assets=ASSETS).resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        with psycopg.connect(app_url) as connection:
            metrics = json.dumps({"week": WEEK, "dagster_run_id": run.run_id, "attempt": 1})
            insert = (
                "insert into rlhf_training_runs (model_type, training_status, metrics) values ('sft', 'started', %s)"
            )
            connection.execute(insert, [metrics])
    assert json.loads(rlhf("reindex", "--json").stdout)["rows_ended"] == 0
