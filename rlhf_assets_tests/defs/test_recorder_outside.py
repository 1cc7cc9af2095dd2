"""The recorder where trouble comes from outside: clocks, backups, a database that is down, many runs at once."""

import os
import time
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from rlhf_assets.errors import RlhfError
from rlhf_assets_tests.conftest import made
from rlhf_assets_tests.defs.small_models import decide, gates, launch, ppo_policy, rows, sft_policy, tick, told


@pytest.mark.parametrize("hours", [1, -1], ids=["ahead", "behind"])
def test_a_host_whose_clock_is_wrong_hides_no_run(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Dagster keeps the times of the hosts that ran something, so a cursor must not be one."""
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", 0)
    with monkeypatch.context() as clock:
        right = time.time
        clock.setattr(time, "time", lambda: right() + max(hours, 0) * 3600)
        launch(instance, sft_policy)
    cursor = tick(instance)
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: right() + min(hours, 0) * 3600)
        launch(instance, sft_policy)
    tick(instance, cursor)
    assert told(app_url) == [("sft", "completed")] * 2


def test_a_database_restored_from_a_backup_is_made_up_to_date(
    instance: dg.DagsterInstance, server: Path, settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come back that were added since, and what was decided since on an older one."""
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", 0)
    launch(instance, ppo_policy)
    cursor = tick(instance)
    database = str(conninfo_to_dict(os.environ["SUPABASE_DB_URL"])["dbname"])
    with made(server, f"template {database}") as backup:
        launch(instance, sft_policy)
        cursor = tick(instance, cursor)
        decide(instance)
        cursor = tick(instance, cursor)
        monkeypatch.setenv("SUPABASE_DB_URL", os.environ["SUPABASE_DB_URL"].replace(database, backup))
        assert [gate for _, gate in gates(os.environ["SUPABASE_DB_URL"])] == ["accepted"]
        cursor = tick(instance, cursor)
        assert gates(os.environ["SUPABASE_DB_URL"]) == [("policy", "demoted"), ("sft", "accepted")]
        assert tick(instance, cursor) == cursor


def test_receipts_that_somebody_deleted_cost_one_reading_of_everything(
    instance: dg.DagsterInstance, app_url: str, admin: psycopg.Connection
) -> None:
    launch(instance, ppo_policy)
    cursor = tick(instance)
    admin.execute("delete from rlhf.recordings")
    cursor = tick(instance, cursor)
    launch(instance, sft_policy)
    cursor = tick(instance, cursor)
    assert told(app_url) == [("policy", "completed"), ("sft", "completed")]
    assert tick(instance, cursor) == cursor


def test_a_decision_taken_while_the_database_was_down_is_written_later(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", 0)
    launch(instance, ppo_policy)
    cursor = tick(instance)
    with monkeypatch.context() as patch:
        patch.setenv("SUPABASE_DB_URL", "postgresql://rlhf_pipeline@127.0.0.1:9/app")
        with pytest.raises(RlhfError):
            decide(instance)
    tick(instance, cursor)
    assert gates(app_url) == [("policy", "demoted")]


def test_more_runs_than_a_page_are_read_in_their_order(
    instance: dg.DagsterInstance, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that end well and badly are read page by page of their own."""
    monkeypatch.setattr("rlhf_assets.defs.training_runs.recorder.REREAD", 0)
    for module in ("recorder", "run_ends"):
        monkeypatch.setattr(f"rlhf_assets.defs.training_runs.{module}.PAGE", 2)
    for how in ("made", "made", "made", "failed", "made", "made"):
        launch(instance, sft_policy, sft_policy=how)
    cursor = None
    for recorded in (2, 5, 6):
        cursor = tick(instance, cursor)
        assert len(rows(app_url)) == recorded
