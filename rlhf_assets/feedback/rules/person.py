"""Rules that protect people: those who said no, and those whose data stand in a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.feedback.settings import CleaningSettings

NO = ("false", "f", "no", "n", "0")


def without_consent(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """The person said no; where nobody was asked, nobody did."""
    if "consent" not in votes:
        return votes["vote_id"].isna() & False
    return votes["consent"].str.strip().str.lower().isin(NO)


def holds_personal_data(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """Only where such rows are to be refused; see `CleaningSettings.personal_data`."""
    return votes["personal"]
