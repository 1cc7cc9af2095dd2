"""Figures worked by hand."""

import json

import pytest

from rlhf_assets.feedback.audit import audit_week
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets_tests.feedback.votes import frame, identity, step_vote, vote

OUTSIDE = {"no_date": 1, "before_first_week": 0, "future": 2}


def audited(*rows: dict) -> dict:
    raw = frame(*rows)
    result = clean_week(raw, frame(), CleaningSettings())
    figures = audit_week(raw, result.clean, result.quarantined, OUTSIDE)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures  # plain values only
    return figures


def test_figures_of_a_week() -> None:
    ann = {"user_id": identity("ann")}
    figures = audited(
        vote(0, **ann, response="a" * 20),  # thumb up
        vote(1, **ann, response="a" * 30, feedback="negative"),
        vote(2, feedback=None, feedback_score=3, response="a" * 40, segment=None, model_version=None),
        step_vote(3, feedback=None, feedback_score=4, response="a" * 50, user_id=None),
        vote(4, feedback=None),
        vote(5, feedback=None),
        vote(6, feedback_score=1),
        vote(7, response=""),
    )
    assert figures["votes"] == {"raw": 8, "clean": 4, "quarantined": 4, "outside": OUTSIDE}
    assert figures["quarantine_share"] == 0.5
    assert figures["quarantined_by_reason"] == {"no_rating": 2, "contradiction": 1, "empty_response": 1}
    assert figures["overall"] == {
        "votes": 4,
        "positive_share": pytest.approx(2 / 3),  # the 3 counts for neither side
        "mean_score": pytest.approx((1 + 0 + 0.5 + 0.75) / 4),
        "scores": {"1": 0, "2": 0, "3": 1, "4": 1, "5": 0},
        "thumbs": {"up": 1, "down": 1},
    }
    assert {kind: part["votes"] for kind, part in figures["by_kind"].items()} == {"message": 3, "step": 1}
    assert {name: part["votes"] for name, part in figures["by_segment"].items()} == {"student": 3, "none": 1}
    assert {name: part["votes"] for name, part in figures["by_model_version"].items()} == {"v1": 3, "none": 1}
    assert figures["by_kind"]["step"]["scores"]["4"] == 1
    # Lengths rank 1 2 3 4, scores 1 0 .5 .75 rank 4 1 2 3: 1 - 6 (9 + 1 + 1 + 1) / (4 * 15).
    assert figures["length_score_correlation"] == pytest.approx(-0.2)
    assert figures["raters"] == {"people": 2, "median_votes": 1.5, "busiest_share": 0.5}


def test_figures_of_an_empty_week() -> None:
    figures = audited()
    assert figures["quarantine_share"] is None
    assert figures["overall"]["positive_share"] is None
    assert figures["overall"]["mean_score"] is None
    assert figures["length_score_correlation"] is None
    assert figures["raters"] == {"people": 0, "median_votes": None, "busiest_share": None}
    assert figures["by_kind"] == figures["quarantined_by_reason"] == {}


def test_figures_of_a_week_without_clean_votes_or_variety() -> None:
    assert audited(vote(0, feedback=None))["quarantine_share"] == 1
    assert audited(vote(0), vote(1))["length_score_correlation"] is None
