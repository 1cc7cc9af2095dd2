"""promote and demote, on a policy that a run has made, with Dagster's storage in PostgreSQL."""

import json
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.feedback.weeks import last_closed_week
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.home import artifact_root
from rlhf_assets_tests.commands.runner import rlhf

WEEK = last_closed_week()


@dg.asset(partitions_def=dg.WeeklyPartitionsDefinition(start_date="2026-01-04", timezone="UTC"))
def ppo_policy(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A policy that the gate has refused, as far as its cards go."""
    store, week, run = ArtifactStore(artifact_root()), context.partition_key, context.run.run_id
    with store.draft("ppo_policy", week, run) as draft:
        policy = draft.commit("candidate")
    with store.draft("policy_evaluation", week, run) as draft:
        evaluation = draft.commit(parents=[policy])
    with store.draft("promotion", week, run) as draft:
        draft.commit("rejected", parents=[policy, evaluation], reasons=["its answers are too long"])
    return dg.MaterializeResult(metadata={"artifact": policy.relative_path})


@pytest.fixture
def refused(settings: None, dagster_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run with a refused policy; its id."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("LOGNAME", "ann")
    with open_instance() as instance:
        return dg.materialize([ppo_policy], partition_key=WEEK, instance=instance).run_id


def test_a_decision_is_kept_shown_and_written_back_with_who_and_why(refused: str, app_url: str) -> None:
    again = rlhf("promote", "--week", WEEK, "--reason", "long is fine")
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.startswith(f"the gate refused the policy of week {WEEK}: its answers are too long; --over-gate")

    promoted = rlhf("promote", "--week", WEEK, "--reason", "long is fine", "--over-gate", "--json")
    assert json.loads(promoted.stdout) == {"week": WEEK, "status": "promoted", "in_use": WEEK}
    with psycopg.connect(app_url) as connection:
        ((metrics,),) = connection.execute("select metrics from rlhf_training_runs").fetchall()
    assert (metrics["dagster_run_id"], metrics["gate"]) == (refused, "promoted")
    assert metrics["reasons"] == ["promoted by ann: long is fine", "over the gate: its answers are too long"]

    assert rlhf("demote", "--reason", "too long after all").stdout == (
        f"policy of week {WEEK} demoted\nno policy is in use now\n"
    )
    assert "demoted by ann: too long after all" in " ".join(rlhf("runs").stdout.split())
    with open_instance() as instance:
        shown = instance.fetch_materializations(dg.AssetKey("promotion"), limit=5).records
    told = [entry.asset_materialization for entry in shown]
    assert [event.metadata["status"].value for event in told if event] == ["demoted", "promoted"]
    assert {event.partition for event in told if event} == {WEEK}


def test_without_a_policy_in_use_or_a_reason_nothing_is_decided(refused: str) -> None:
    none = rlhf("demote", "--reason", "bad")
    assert (none.exit_code, none.stderr) == (1, "no policy is in use; name one with --week\n")
    assert rlhf("demote", "--reason", " ", "--week", WEEK).exit_code == 2
    assert rlhf("promote", "--week", WEEK).exit_code == 2


def test_a_decision_stands_when_the_database_is_down(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", "postgresql://postgres@127.0.0.1:1/gone")
    decided = rlhf("promote", "--week", WEEK, "--reason", "fine", "--over-gate")
    assert decided.exit_code == 0
    assert f"in use now: the policy of week {WEEK}" in decided.stdout


def test_rows_deleted_by_hand_are_restored(refused: str, app_url: str, admin_url: str) -> None:
    assert rlhf("runs", "--reconcile").stderr == "1 rows written\n"
    with psycopg.connect(app_url) as connection:
        before = connection.execute("select id, training_status, metrics from rlhf_training_runs").fetchall()
    with psycopg.connect(admin_url) as connection:
        connection.execute("delete from rlhf_training_runs")
    restored = json.loads(rlhf("runs", "--reconcile", "--json").stdout)["runs"]
    assert [(row["training_status"], row["metrics"]) for row in restored] == [row[1:] for row in before]
    assert [row["id"] for row in restored] == [str(row[0]) for row in before]
    assert rlhf("runs", "--reconcile").stderr == "0 rows written\n"
