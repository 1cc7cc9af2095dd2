"""`rlhf gc` on Dagster's tables: small assets that carry the models' names, a quarter after their runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from rlhf_assets.commands.instance import open_instance
from rlhf_assets_tests.commands.runner import rlhf

WEEK = "2026-03-01"
WEEKS = dg.WeeklyPartitionsDefinition(start_date=WEEK, timezone="UTC")


class Ending(dg.Config):
    """made, failed or skipped."""

    how: str = "made"


@dg.asset(partitions_def=WEEKS, output_required=False)
def sft_policy(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    print("what it printed")  # noqa: T201
    if config.how == "failed":
        raise dg.Failure(description="the loss is nan", allow_retries=False)
    if config.how == "skipped":
        context.log_event(dg.AssetObservation("sft_policy", partition=WEEK, metadata={"skipped": "3 rows"}))
        return
    yield dg.MaterializeResult()


@dg.asset(partitions_def=WEEKS, deps=[sft_policy])
def ppo_policy() -> None:
    raise dg.Failure(description="no memory", allow_retries=False)


@pytest.fixture
def project(settings: None, dagster_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))


def launch(instance: dg.DagsterInstance, how: str, *assets: dg.AssetsDefinition, tags: dict | None = None) -> str:
    config = {"ops": {"sft_policy": {"config": {"how": how}}}}
    result = dg.materialize(
        [sft_policy, *assets], partition_key=WEEK, instance=instance, run_config=config, raise_on_error=False, tags=tags
    )
    return result.run_id


def a_quarter_passes(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg2", "")) as connection:
        connection.execute("update runs set update_timestamp = update_timestamp - interval '91 days'")


def recorded(url: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute("select * from rlhf_training_runs order by start_time, model_type").fetchall()


@pytest.mark.usefixtures("project")
def test_old_runs_that_made_nothing_go_and_their_rows_stay(dagster_db: str, app_url: str, tmp_path: Path) -> None:
    with open_instance() as instance:
        failed, skipped = launch(instance, "failed"), launch(instance, "skipped")
        made, half_made = launch(instance, "made"), launch(instance, "made", ppo_policy)
        tried_again = launch(instance, "failed")
        launch(instance, "made", tags={"dagster/parent_run_id": tried_again, "dagster/root_run_id": tried_again})
        a_quarter_passes(dagster_db)
        young = launch(instance, "failed")
        before = {run.run_id for run in instance.get_runs()}
    assert rlhf("runs", "--reconcile").exit_code == 0
    rows = recorded(app_url)
    assert len(rows) == 8

    would = json.loads(rlhf("gc", "--dry-run", "--json").stdout)
    assert set(would["runs"]) == {failed, skipped}
    said = rlhf("gc", "--dry-run").stdout.splitlines()[-1]
    assert said == "would forget 2 runs in Dagster's tables that made nothing"
    printed = tmp_path / "dagster" / "storage" / failed
    assert printed.is_dir()
    with open_instance() as instance:
        assert {run.run_id for run in instance.get_runs()} == before

    assert set(json.loads(rlhf("gc", "--json").stdout)["runs"]) == {failed, skipped}
    with open_instance() as instance:
        assert {run.run_id for run in instance.get_runs()} == before - {failed, skipped}
        assert instance.all_logs(failed) == []
        assert {made, half_made, tried_again, young} < before
        assert instance.get_materialized_partitions(dg.AssetKey("sft_policy")) == {WEEK}
    assert not printed.exists()
    assert rlhf("runs", "--reconcile").exit_code == 0
    assert recorded(app_url) == rows
    assert json.loads(rlhf("gc", "--json").stdout)["runs"] == []


@pytest.mark.usefixtures("project")
def test_a_run_that_nobody_recorded_is_recorded_before_it_goes(dagster_db: str, app_url: str) -> None:
    with open_instance() as instance:
        launch(instance, "failed")
    a_quarter_passes(dagster_db)
    assert recorded(app_url) == []
    assert rlhf("gc").exit_code == 0
    assert len(recorded(app_url)) == 1
