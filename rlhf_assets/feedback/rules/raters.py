"""Rules about who votes: habits that no reader has, seen over the look-back. A person's other votes stand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rlhf_assets.feedback.rules.bursts import bursts

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.feedback.settings import CleaningSettings


def one_button(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """The votes of the button that a person hardly ever leaves."""
    rated = window.loc[window["rated"] & (window["user"] >= 0), ["user", "button"]]
    own_button = rated["user"] * (rated["button"].max() + 1) + rated["button"]
    clicks = rated.groupby(own_button)["button"].transform("size")
    share = clicks / rated.groupby("user")["button"].transform("size")
    suspected = (clicks >= settings.one_button_votes) & (share >= settings.one_button_share)
    return suspected.reindex(votes.index, fill_value=False)


def too_fast(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """A person's votes on many different answers within seconds.

    An answer that came within the same seconds does not count: where a history is written into the tables at once,
    votes and answers share one moment, which says nothing about the person.
    """
    span = timedelta(seconds=settings.fast_seconds)
    recent = window["created_at"] >= votes["created_at"].min() - span
    able = window.loc[recent, ["user", "answer", "created_at", "message_created_at"]]
    stood = ~(able["created_at"] - able["message_created_at"] <= span)
    able = able[stood & (able["user"] >= 0) & (able["answer"] >= 0)]
    found = bursts(able["user"], able["answer"], able["created_at"], settings.fast_answers, span)
    return found.reindex(votes.index, fill_value=False)


def brigade(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """Votes of many fresh accounts with one and the same rating of one answer text to one query, within minutes.

    An account is fresh until hours after its first vote in the window.
    """
    span = timedelta(minutes=settings.brigade_minutes)
    age = window["created_at"] - window.groupby("user")["created_at"].transform("min")
    fresh = (age <= timedelta(hours=settings.fresh_hours)) & (window["user"] >= 0) & window["rated"]
    recent = fresh & (window["created_at"] >= votes["created_at"].min() - span)
    recent &= window["query"].notna() & window["response"].notna()
    able = window.loc[recent, ["query", "response", "button", "user", "created_at"]]
    texts = able.groupby(["query", "response", "button"], sort=False).ngroup()
    found = bursts(texts, able["user"], able["created_at"], settings.brigade_accounts, span)
    return found.reindex(votes.index, fill_value=False)
