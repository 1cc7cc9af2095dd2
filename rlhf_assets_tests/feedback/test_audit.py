"""Figures worked by hand, and leaks planted to be found."""

import dataclasses
import json

import pandas as pd
import pytest

from rlhf_assets.feedback.audit import audit_week, leaks
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.near_duplicates import NearDuplicates
from rlhf_assets.feedback.settings import CleaningSettings, SplitSettings
from rlhf_assets.feedback.split import build_dataset
from rlhf_assets_tests.feedback.test_split import many_votes, said
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


def test_planted_leaks_are_found() -> None:
    settings = SplitSettings(near_duplicate=0.5)
    dataset = build_dataset(many_votes(0, 300), settings)
    assert leaks(dataset, settings) == []
    test, train = dataset.test, dataset.train

    def leaking(**frames: pd.DataFrame) -> list[str]:
        return leaks(dataclasses.replace(dataset, **frames), settings)

    own = {"query": "one two three four five six seven", "context": "[]", "cluster": "own"}
    mine, theirs = test.iloc[[0]].assign(**own), train.iloc[[0]].assign(**own)
    with_mine = pd.concat([test, mine])
    assert leaking(test=with_mine) == []

    def planted(name: str, **changes: object) -> list[str]:
        leak = theirs.assign(cluster="other", user_id=None).assign(**changes)
        return leaking(test=with_mine, **{name: pd.concat([getattr(dataset, name), leak])})

    for name, side in {"train": "train", "judge_train": "train", "validation": "validation"}.items():
        assert planted(name) == [f"{side} and test share queries: 1"]
        assert planted(name, query="ONE  two three four five six seven") == [f"{side} and test share queries: 1"]
        assert planted(name, query=f"{own['query']} eight") == [f"{side} and test share near-duplicate queries: 1"]
        follow_up = {"query": "eight nine ten", "context": said(own["query"])}
        assert planted(name, **follow_up) == [f"{side} and test share queries: 1"]
        assert planted(name, query="eight nine ten", cluster="own") == [f"{side} and test share clusters: 1"]
        assert planted(name, query="eight nine ten") == []

    judge = dataset.judge_test["user_id"].iloc[0]
    assert leaking(train=train.assign(user_id=[judge, *train["user_id"][1:]])) == [
        "the judge's users and the others share people: 1"
    ]


def test_leaks_do_not_rest_on_the_index_that_made_the_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NearDuplicates, "like", lambda self, text: [])  # an index that misses everything
    settings = SplitSettings(near_duplicate=0.5)
    found = leaks(build_dataset(many_votes(0, 300), settings), settings)
    assert any("near-duplicate" in line for line in found)
