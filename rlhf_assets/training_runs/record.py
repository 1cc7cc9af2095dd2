"""From what happened to a model in a run to its row in `rlhf_training_runs`."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rlhf_assets.storage.artifacts import Artifact
from rlhf_assets.storage.json_safe import json_safe

MODEL_TYPES = {"reward_model": "reward", "judge_model": "judge", "sft_policy": "sft", "ppo_policy": "policy"}
ROWS = uuid.UUID("1c0c7f3a-3f0e-5b7e-9a57-5f2f3a1f6f0d")  # namespace of the row ids; never changes

Outcome = Literal["started", "completed", "failed", "canceled", "skipped"]


@dataclass(frozen=True)
class Training:
    """What happened to one model of one week in one run.

    `first_run_id`: the first run of the automatic retry chain; `attempt`: the run's place in it, from 1.
    """

    asset: str
    week: str
    run_id: str
    first_run_id: str
    attempt: int
    outcome: Outcome
    start: datetime
    end: datetime | None = None
    artifact: Artifact | None = None  # None unless completed, or when its folder is gone
    verdict: Artifact | None = None  # of promotion on this policy, once there is one
    reason: str | None = None  # why it failed or was skipped, one line


@dataclass(frozen=True)
class RunRow:
    """A row as the table has it; `created_at` is the database's own."""

    id: uuid.UUID
    model_type: str
    training_status: str
    start_time: datetime
    end_time: datetime | None
    metrics: dict[str, Any]
    model_path: str | None


def row_of(training: Training) -> RunRow:
    """The row; one and the same id for all attempts at a model of a week."""
    model_type = MODEL_TYPES[training.asset]
    skipped = training.outcome == "skipped"
    return RunRow(
        id=uuid.uuid5(ROWS, f"{training.first_run_id} {model_type} {training.week}"),
        model_type=model_type,
        training_status="completed" if skipped else training.outcome,
        start_time=training.start,
        end_time=training.end,
        metrics=json_safe(metrics_of(training)),
        model_path=str(training.artifact.folder) if training.artifact else None,
    )


def metrics_of(training: Training) -> dict[str, Any]:
    """week, dagster_run_id, attempt, and then what the card says, why it was skipped, or why it failed."""
    metrics: dict[str, Any] = {
        "week": training.week,
        "dagster_run_id": training.run_id,
        "attempt": training.attempt,
    }
    if training.outcome == "skipped":
        metrics["skipped"] = training.reason
    elif training.reason:
        metrics["error"] = training.reason
    if training.artifact is None:
        return metrics
    card, verdict = training.artifact.card, training.verdict.card if training.verdict else training.artifact.card
    dataset = next((parent for parent in card.parents if parent.asset in ("reward_dataset", "policy_prompts")), None)
    return {
        **metrics,
        "code_version": card.code_version,
        "dataset_hash": dataset.content_hash if dataset else None,
        "content_hash": card.content_hash,
        "parents": [parent.model_dump() for parent in card.parents],
        "gate": verdict.status,
        **({"reasons": verdict.reasons} if verdict.reasons else {}),
        "counts": card.counts,
        "settings": card.settings,
        "seeds": card.seeds,
        "figures": card.figures,
    }
