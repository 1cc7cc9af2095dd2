"""Rules about the rating itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.feedback.settings import CleaningSettings


def without_rating(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return votes["thumb"].isna() & votes["feedback_score"].isna()


def invalid_rating(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    scored, thumbed = votes["feedback_score"].notna(), votes["thumb"].notna()
    on_scale = votes["feedback_score"].isin(range(1, 6))
    return (scored & ~on_scale) | (thumbed & ~votes["thumb"].isin(("positive", "negative")))


def contradiction(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    up_but_low = (votes["thumb"] == "positive") & (votes["feedback_score"] <= 2)
    down_but_high = (votes["thumb"] == "negative") & (votes["feedback_score"] >= 4)
    return up_but_low | down_but_high


def copy_of_previous(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """The person's preceding vote on the same target was the same; a vote changed and changed back is no copy."""
    known = window.loc[(window["user"] >= 0) & (window["target"] >= 0), ["user", "target", "button"]]
    before = known.groupby(known["user"] * (known["target"].max() + 1) + known["target"])["button"].shift()
    return (before == known["button"]).reindex(votes.index, fill_value=False)
