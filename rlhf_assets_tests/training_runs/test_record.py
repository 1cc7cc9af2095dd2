import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.training_runs.record import Outcome, Training, row_of
from rlhf_assets.training_runs.upsert import upsert

WEEK = "2026-03-01"
START = datetime(2026, 3, 8, 1, tzinfo=UTC)


def training(outcome: Outcome = "started", attempt: int = 1, **changes: Any) -> Training:
    end = None if outcome == "started" else START + timedelta(minutes=attempt)
    values = {"asset": "reward_model", "week": WEEK, "run_id": f"run-{attempt}", "first_run_id": "run-1"}
    return Training(**{**values, "attempt": attempt, "outcome": outcome, "start": START, "end": end, **changes})


@pytest.fixture
def policy(tmp_path: Path) -> Artifact:
    store = ArtifactStore(str(tmp_path))
    with store.draft("policy_prompts", WEEK, "run-1") as draft:
        prompts = draft.commit()
    with store.draft("ppo_policy", WEEK, "run-1") as draft:
        figures = {"kl": np.float32("nan"), "score": np.float64(0.5)}
        return draft.commit("candidate", parents=[prompts], figures=figures, code_version="3")


def test_a_completed_training_says_what_was_made_from_what(policy: Artifact) -> None:
    row = row_of(training("completed", asset="ppo_policy", artifact=policy))
    assert (row.model_type, row.training_status, row.model_path) == ("policy", "completed", str(policy.folder))
    assert row.metrics["dataset_hash"] == row.metrics["parents"][0]["content_hash"]
    assert row.metrics["code_version"] == "3"
    assert row.metrics["gate"] == "candidate"
    assert row.metrics["figures"] == {"kl": None, "score": 0.5}
    json.dumps(row.metrics, allow_nan=False)


def test_a_verdict_of_promotion_stands_in_the_policys_row(policy: Artifact) -> None:
    with ArtifactStore(str(policy.root)).draft("promotion", WEEK, "run-1") as draft:
        verdict = draft.commit("rejected", parents=[policy], reasons=["too far"])
    metrics = row_of(training("completed", asset="ppo_policy", artifact=policy, verdict=verdict)).metrics
    assert (metrics["gate"], metrics["reasons"]) == ("rejected", ["too far"])


def test_a_skip_is_completed_with_its_reason() -> None:
    row = row_of(training("skipped", reason="3 rows"))
    assert (row.training_status, row.metrics["skipped"], row.model_path) == ("completed", "3 rows", None)


def test_a_failure_is_failed_with_its_reason() -> None:
    row = row_of(training("failed", reason="the loss is nan"))
    assert (row.training_status, row.metrics["error"], row.model_path) == ("failed", "the loss is nan", None)


def test_one_row_for_all_attempts_and_one_more_for_each_model_and_week() -> None:
    same = {row_of(training("failed")).id, row_of(training("completed", attempt=2)).id}
    other = {
        row_of(training(week="2026-03-08")).id,
        row_of(training(asset="judge_model")).id,
        row_of(training(first_run_id="run-9")).id,
    }
    assert len(same) == 1
    assert len(same | other) == 4


HISTORIES = [
    ([training("started"), training("completed")], "completed", 1),
    ([training("completed"), training("started")], "completed", 1),
    ([training("failed"), training("started")], "failed", 1),
    ([training("failed"), training("completed")], "completed", 1),  # given up too early; it was made after all
    ([training("completed"), training("failed")], "completed", 1),
    ([training("failed"), training("started", attempt=2)], "started", 2),
    ([training("started", attempt=2), training("failed")], "started", 2),
    ([training("failed"), training("completed", attempt=2)], "completed", 2),
    ([training("completed", attempt=2), training("failed")], "completed", 2),
    ([training("completed"), training("failed", attempt=2)], "completed", 1),
    ([training("completed"), training("started", attempt=2)], "completed", 1),
    ([training("started"), training("canceled")], "canceled", 1),
]


@pytest.mark.parametrize(("history", "status", "attempt"), HISTORIES)
def test_a_row_moves_forward_only(app_url: str, history: list[Training], status: str, attempt: int) -> None:
    with psycopg.connect(app_url) as connection:
        for told in history:
            upsert(connection, [row_of(told)])
        rows = connection.execute("select training_status, metrics from rlhf_training_runs").fetchall()
    assert [(found, metrics["attempt"]) for found, metrics in rows] == [(status, attempt)]


def test_the_same_again_changes_nothing_and_news_are_counted(app_url: str) -> None:
    with psycopg.connect(app_url) as connection:
        assert upsert(connection, [row_of(training()), row_of(training(asset="sft_policy"))]) == 2
        assert upsert(connection, [row_of(training()), row_of(training(asset="sft_policy"))]) == 0
        assert upsert(connection, [row_of(training("completed")), row_of(training(asset="sft_policy"))]) == 1


def test_rows_are_written_together_or_not_at_all(app_url: str) -> None:
    broken = row_of(training(asset="sft_policy"))
    object.__setattr__(broken, "model_type", None)
    with psycopg.connect(app_url) as connection:
        with pytest.raises(psycopg.errors.NotNullViolation):
            upsert(connection, [row_of(training()), broken])
        assert connection.execute("select count(*) from rlhf_training_runs").fetchone() == (0,)


def test_two_writers_of_the_same_rows_never_lock_each_other_out(app_url: str) -> None:
    """As the daemon's recorder and a command do, each in its own order."""
    trainings = [training(first_run_id=f"run-{number}") for number in range(40)]

    def write(order: int) -> None:
        with psycopg.connect(app_url, autocommit=True) as connection:
            for _ in range(10):
                upsert(connection, [row_of(one) for one in trainings[::order]])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, (1, -1))) == [None, None]
