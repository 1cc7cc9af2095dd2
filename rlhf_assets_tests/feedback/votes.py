"""Raw votes to test with: one valid vote, changed where a test says so."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import NAMESPACE_OID, uuid5

import pandas as pd

from rlhf_assets.feedback.clean import Extraction, clean_week, typed
from rlhf_assets.feedback.read import RAW_SCHEMA
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets.feedback.weeks import bounds, week_of

WEEK = "2026-11-15"
START = bounds(WEEK)[0]


def identity(name: object) -> str:
    return str(uuid5(NAMESPACE_OID, str(name)))


def vote(number: int, *, at: datetime | None = None, **changes: object) -> dict[str, object]:
    """Vote `number` of the week, an hour after the one before, on an answer of its own, by a person of its own."""
    at = at or START + timedelta(hours=number)
    row: dict[str, object] = {
        "vote_id": identity(f"vote {number}"),
        "created_at": at,
        "user_id": identity(f"user {number}"),
        "segment": "student",
        "kind": "message",
        "chat_id": identity(f"chat {number}"),
        "message_id": identity(f"message {number}"),
        "step_id": None,
        "message_role": "assistant",
        "query": f"What does measure {number} cost the town?",
        "context": "[]",
        "system_prompt": None,
        "response": "It costs about as much as a new bridge.",
        "steps_before": "[]",
        "step_order": None,
        "feedback": "positive",
        "feedback_score": None,
        "model_version": "v1",
        "message_created_at": at - timedelta(minutes=1),
    }
    return row | changes


def step_vote(number: int, **changes: object) -> dict[str, object]:
    step = {"kind": "step", "message_id": None, "step_id": identity(f"step {number}"), "step_order": 0}
    return vote(number, **{**step, "message_role": None, **changes})


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    """Raw rows as they come from Parquet."""
    return typed(pd.DataFrame(list(rows), columns=RAW_SCHEMA.names))


def clean_frame(*rows: dict[str, object]) -> pd.DataFrame:
    """Clean rows of any weeks, as the assets hand them on."""
    raw = frame(*rows)
    weeks = [raw[raw["created_at"].map(week_of) == week] for week in sorted(set(raw["created_at"].map(week_of)))]
    results = [clean_week(rows, frame(), CleaningSettings()) for rows in weeks or [raw]]
    assert not any(len(result.quarantined) for result in results)
    return pd.concat([result.clean for result in results], ignore_index=True)


def reasons(
    *rows: dict[str, object],
    lookback: pd.DataFrame | None = None,
    settings: CleaningSettings | None = None,
    extractions: Mapping[str, Extraction] | None = None,
) -> list[str | None]:
    """The reason for each row, in the order given; None where it is clean."""
    past = frame() if lookback is None else lookback
    result = clean_week(frame(*rows), past, settings or CleaningSettings(), extractions)
    found = dict(zip(result.quarantined["vote_id"], result.quarantined["reason"], strict=True))
    assert set(result.clean["vote_id"]) | set(found) == {row["vote_id"] for row in rows}
    return [found.get(str(row["vote_id"])) for row in rows]
