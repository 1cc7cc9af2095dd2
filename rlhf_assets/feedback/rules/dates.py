"""Rules about when a vote was given: a moment that cannot be is a wrong clock's or a forged row's."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.feedback.settings import CleaningSettings


def in_the_future(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """The vote or its answer is dated later than the extraction that read it."""
    latest = votes["read_at"] + timedelta(minutes=settings.clock_skew_minutes)
    return (votes["created_at"] > latest) | (votes["message_created_at"] > latest)


def before_the_answer(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return votes["created_at"] + timedelta(minutes=settings.clock_skew_minutes) < votes["message_created_at"]
