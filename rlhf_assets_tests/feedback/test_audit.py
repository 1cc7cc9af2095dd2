"""Figures worked by hand."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pandas as pd
import pytest

from rlhf_assets.feedback.activity import COLUMNS
from rlhf_assets.feedback.audit import audit_week, votes_of
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.settings import AuditSettings, CleaningSettings
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets_tests.feedback.votes import START, WEEK, clean_frame, frame, identity, step_vote, vote

OUTSIDE = {"no_date": 1, "before_first_week": 0, "future": 2}


NOBODY_ASKED = pd.DataFrame(columns=list(COLUMNS))


def audited(*rows: dict, before: Sequence[dict] = (), activity: pd.DataFrame = NOBODY_ASKED, **settings: float) -> dict:
    """Figures of the week in which the rows lie; `before` lies in the weeks before it."""
    raw, earlier_votes = frame(*rows), clean_frame(*before)
    result = clean_week(raw, frame(), CleaningSettings())
    weeks = {name: votes_of(votes) for name, votes in earlier_votes.groupby("week")} | {WEEK: votes_of(result.clean)}
    figures = audit_week(WEEK, weeks, len(raw), result.quarantined, activity, OUTSIDE, AuditSettings(**settings))
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures  # plain values only
    return figures


def test_figures_of_a_week() -> None:
    ann = {"user_id": identity("ann")}
    figures = audited(
        vote(0, **ann, response="a" * 20),  # thumb up
        vote(1, **ann, response="a" * 30, feedback="negative"),
        vote(2, feedback=None, feedback_score=3, response="a" * 40, segment=None, model_version=None),
        vote(3, feedback=None, feedback_score=4, response="a" * 50, user_id=None),
        step_vote(4, feedback=None, feedback_score=4, user_id=None),
        vote(5, feedback=None),
        vote(6, feedback=None),
        vote(7, feedback_score=1),
        vote(8, response=""),
    )
    assert figures["votes"] == {"raw": 9, "clean": 5, "quarantined": 4, "outside": OUTSIDE}
    assert figures["quarantine_share"] == pytest.approx(4 / 9)
    assert figures["quarantined_by_reason"] == {"no_rating": 2, "contradiction": 1, "empty_response": 1}
    assert figures["positive_share"] == {"value": 0.75, "low": None, "high": None}  # the 3 counts for neither side
    assert figures["overall"] == {
        "votes": 5,
        "positive_share": 0.75,
        "mean_score": pytest.approx((5 + 1 + 3 + 4 + 4) / 5),
        "scores": {"1": 0, "2": 0, "3": 1, "4": 2, "5": 0},
        "thumbs": {"up": 1, "down": 1},
    }
    assert {kind: part["votes"] for kind, part in figures["by_kind"].items()} == {"message": 4, "step": 1}
    assert {name: part["votes"] for name, part in figures["by_segment"].items()} == {"student": 4, "none": 1}
    assert {name: part["votes"] for name, part in figures["by_model_version"].items()} == {"v1": 4, "none": 1}
    assert figures["by_kind"]["step"]["scores"]["4"] == 1
    # Lengths rank 1 2 3 4, scores 1 0 .5 .75 rank 4 1 2 3: 1 - 6 (9 + 1 + 1 + 1) / (4 * 15).
    assert figures["length_score_correlation"]["value"] == pytest.approx(-0.2)
    assert figures["length_score_correlation_of_steps"] is None
    assert (figures["raters"]["people"], figures["raters"]["median_votes"]) == (4, 1.0)  # nobody is a person each time
    assert figures["raters"]["busiest_share"] == pytest.approx(0.4)


def test_figures_of_an_empty_week() -> None:
    figures = audited()
    for name in ("quarantine_share", "positive_share", "rated_share", "length_score_correlation"):
        assert figures[name] is None
    assert figures["overall"]["positive_share"] is None
    assert figures["overall"]["mean_score"] is None
    assert figures["agreement"]["scores"] == {"alpha": None, "answers": 0, "people": 0, "votes": 0}
    assert figures["raters"]["busiest_share"] is None
    assert set(figures["raters"]["strictness"].values()) == {0, None}
    assert figures["activity"]["all"]["returned_share"] is None
    assert figures["by_kind"] == figures["quarantined_by_reason"] == {}


def test_figures_of_one_vote_and_of_a_week_without_clean_votes_or_variety() -> None:
    one = audited(vote(0))
    assert one["positive_share"] == {"value": 1.0, "low": None, "high": None}
    assert one["raters"]["strictness"]["spread"] is None
    assert audited(vote(0, feedback=None))["quarantine_share"] == 1
    assert audited(vote(0), vote(1))["length_score_correlation"] is None


def test_the_weeks_before_stand_beside_and_no_other_way_round() -> None:
    last_week = [vote(number, at=START - timedelta(days=3), feedback="negative") for number in range(3)]
    figures = audited(vote(3), before=last_week)
    assert figures["positive_share_before"] == 0
    assert {week: part["votes"] for week, part in figures["weeks"].items()} == {earlier(WEEK, 1): 3, WEEK: 1}
    assert figures["overall"]["votes"] == 1


def test_who_votes_and_who_comes_back() -> None:
    """Those who came back are of the week before: this week's cannot be back yet."""
    activity = pd.DataFrame(
        [
            (earlier(WEEK, 1), "all", None, 10, 9, 5, 4, 3),
            (earlier(WEEK, 1), "segment", "farmer", 10, 9, 5, 4, 3),
            (WEEK, "all", None, 40, 10, 16, 8, 0),
            (WEEK, "segment", "farmer", 30, 9, 12, 6, 0),
            (WEEK, "segment", None, 10, 1, 4, 2, 0),
        ],
        columns=list(COLUMNS),
    )
    figures = audited(activity=activity, before=[vote(0, at=START - timedelta(days=3))])
    assert (figures["rated_share"], figures["rated_share_before"]) == (0.25, 0.9)
    assert figures["activity"]["all"] == {
        "messages": 40,
        "rated": 10,
        "chats": 16,
        "users": 8,
        "rated_share": 0.25,
        "answers_per_chat": 2.5,
        "returned_share": 0.75,
    }
    segments = figures["activity"]["segment"]
    assert {name: (of["rated_share"], of["returned_share"]) for name, of in segments.items()} == {
        "farmer": (0.3, 0.75),
        "none": (0.1, None),
    }


def test_names_are_cut_cleaned_and_few() -> None:
    """A segment may be whatever an app lets people type."""
    odd = [vote(0, segment="x" * 10**6), vote(1, segment="\x1b[2J\u202eevil")]
    many = [vote(number + 10, segment=f"segment {number % 50}") for number in range(100)]
    figures = audited(*odd, *many)
    names = figures["by_segment"]
    assert len(names) == 21
    assert sum(part["votes"] for part in names.values()) == 102
    assert audited(*odd)["by_segment"].keys() == {"x" * 39 + "…", "�[2J�evil"}


def test_suspected_raters_are_counted_by_reason() -> None:
    clicks = [vote(number, user_id=identity("clicker")) for number in range(40)]
    assert audited(*clicks, vote(50))["raters"]["suspected"] == {"one_button_rater": {"votes": 40, "people": 1}}
