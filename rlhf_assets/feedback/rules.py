"""The row rules, in order: what makes a vote unusable, each with its reason code.

A rule sees the votes of one week and its window (the look-back, then the week), both as `prepared` makes them, and
marks votes of the week. To change one, raise its version; to add one, put it where its reason should win.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from rlhf_assets.feedback.settings import CleaningSettings


@dataclass(frozen=True)
class Rule:
    """`applies(votes, window, settings)` is a bool Series over `votes`: True sends the vote to quarantine."""

    name: str
    version: int
    reason: str
    applies: Callable[[pd.DataFrame, pd.DataFrame, CleaningSettings], pd.Series]


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """Raw rows with `thumb` ("positive", "negative", another word or missing), `target` (what was voted on) and
    `rating` (the button: equal where thumb and score are equal).
    """
    thumb = rows["feedback"].str.strip().str.lower()
    thumb = thumb.mask(thumb == "")
    rating = thumb.fillna("") + " " + rows["feedback_score"].astype("str").fillna("")
    return rows.assign(thumb=thumb, target=target(rows), rating=rating)


def target(rows: pd.DataFrame) -> pd.Series:
    """The id of the message or step that was voted on."""
    return rows["message_id"].where(rows["kind"] == "message", rows["step_id"])


def blank(text: pd.Series) -> pd.Series:
    return text.str.strip().fillna("") == ""


def votes_on_nothing(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return votes["target"].isna() | (votes["response"].isna() & votes["message_role"].isna())


def not_the_assistants(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """A step has no role of its own where no message holds it."""
    stepless = (votes["kind"] == "step") & votes["message_role"].isna()
    return (votes["message_role"] != "assistant") & ~stepless


def without_query(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return blank(votes["query"])


def empty_response(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return blank(votes["response"])


def too_short(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return votes["response"].str.strip().str.len() < settings.minimum_characters


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
    button = pd.Series(pd.factorize(window["rating"])[0], index=window.index)
    before = button.groupby([window["user_id"], window["target"]]).shift()
    return (before == button)[votes.index]


def one_button(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """The votes of the button that a person hardly ever leaves; their few other votes stand."""
    rated = window[~without_rating(window, window, settings)]
    clicks = rated.groupby(["user_id", "rating"]).size()
    share = clicks / clicks.groupby(level="user_id").transform("sum")
    suspected = clicks.index[(clicks >= settings.one_button_votes) & (share >= settings.one_button_share)]
    return pd.Series(pd.MultiIndex.from_frame(votes[["user_id", "rating"]]).isin(suspected), index=votes.index)


RULES = (
    Rule("a vote on nothing", 1, "no_target", votes_on_nothing),
    Rule("a vote on a message that is not the assistant's", 1, "not_assistant", not_the_assistants),
    Rule("an answer without its question", 1, "no_query", without_query),
    Rule("an empty answer", 1, "empty_response", empty_response),
    Rule("an answer too short to judge", 1, "too_short", too_short),
    Rule("neither thumb nor score", 1, "no_rating", without_rating),
    Rule("a score outside 1 to 5, or an unknown thumb", 1, "invalid_rating", invalid_rating),
    Rule("thumb and score contradict each other", 1, "contradiction", contradiction),
    Rule("the same vote once more", 1, "copy", copy_of_previous),
    Rule("a rater who clicks one button only", 1, "one_button_rater", one_button),
)
