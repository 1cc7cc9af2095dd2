"""What the rules look at: the votes to judge, and the window of votes that habits are seen in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

WINDOW_COLUMNS = (
    "vote_id",
    "created_at",
    "user_id",
    "kind",
    "chat_id",
    "message_id",
    "step_id",
    "query",
    "response",
    "feedback",
    "feedback_score",
    "message_created_at",
)


def thumb(rows: pd.DataFrame) -> pd.Series:
    """ "positive", "negative", another word, or missing."""
    word = rows["feedback"].str.strip().str.lower()
    return word.mask(word == "")


def target(rows: pd.DataFrame) -> pd.Series:
    """The id of the message or step that was voted on."""
    return rows["message_id"].where(rows["kind"] == "message", rows["step_id"])


def window_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Raw rows (WINDOW_COLUMNS) with codes for what rules compare, -1 where it is missing.

    user    the person
    target  the message or step that was voted on
    answer  the message, or the chat of a step that no message holds
    button  equal where thumb and score are equal, never missing
    rated   whether there is a thumb or a score at all
    """
    points, word = rows["feedback_score"], thumb(rows)
    scores, thumbs = codes(points), codes(word)
    texts_and_times = rows[["created_at", "message_created_at", "query", "response"]]
    return texts_and_times.assign(
        user=codes(rows["user_id"]),
        target=codes(target(rows)),
        answer=codes(rows["message_id"].fillna(rows["chat_id"])),
        button=(thumbs + 1) * (scores.max(initial=-1) + 2) + scores + 1,
        rated=word.notna() | points.notna(),
    )


def codes(values: pd.Series) -> np.ndarray:
    """Whole numbers, equal where the values are; -1 for a missing one."""
    return values.factorize()[0]
