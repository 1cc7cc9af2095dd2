"""Leaks planted to be found."""

import dataclasses

import pandas as pd
import pytest

from rlhf_assets.feedback.leaks import leaks
from rlhf_assets.feedback.near_duplicates import NearDuplicates
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import build_dataset
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets_tests.feedback.test_split import many_votes, said
from rlhf_assets_tests.feedback.votes import WEEK


def test_planted_leaks_are_found() -> None:
    settings = SplitSettings(near_duplicate=0.5)
    dataset = build_dataset(many_votes(0, 300), settings, WEEK)
    assert leaks(dataset, settings) == []
    test, train = dataset.test, dataset.train

    def leaking(**frames: pd.DataFrame) -> list[str]:
        return leaks(dataclasses.replace(dataset, **frames), settings)

    own = {"query": "one two three four five six seven", "context": "[]", "cluster": "own", "chat_id": "own talk"}
    mine, theirs = test.iloc[[0]].assign(**own), train.iloc[[0]].assign(**own)
    with_mine = pd.concat([test, mine])
    assert leaking(test=with_mine) == []

    def planted(name: str, **changes: object) -> list[str]:
        leak = theirs.assign(cluster="other", chat_id="other talk", user_id=None).assign(**changes)
        return leaking(test=with_mine, **{name: pd.concat([getattr(dataset, name), leak])})

    for name, side in {"train": "train", "judge_train": "train", "validation": "validation"}.items():
        assert planted(name) == [f"{side} and test share queries: 1"]
        assert planted(name, query="ONE  two three four five six seven") == [f"{side} and test share queries: 1"]
        assert planted(name, query=f"{own['query']} eight") == [f"{side} and test share near-duplicate queries: 1"]
        follow_up = {"query": "eight nine ten", "context": said(own["query"])}
        assert planted(name, **follow_up) == [f"{side} and test share queries: 1"]
        assert planted(name, query="eight nine ten", cluster="own") == [f"{side} and test share clusters: 1"]
        talk = {"query": "eight nine ten", "chat_id": "own talk"}
        assert planted(name, **talk) == [f"{side} and test share conversations: 1"]
        assert planted(name, query="eight nine ten") == []
        assert planted(name, query="eight nine ten", chat_id=None) == []

    judge = dataset.judge_test["user_id"].iloc[0]
    assert leaking(train=train.assign(user_id=[judge, *train["user_id"][1:]])) == [
        "the judge's users and the others share people: 1"
    ]


def test_leaks_into_the_newest_questions_are_found() -> None:
    settings = SplitSettings(near_duplicate=0.5, judge_share=0.4)
    dataset = build_dataset(many_votes(0, 300), settings, WEEK)
    new = {"query": "one two three four five six seven", "context": "[]", "cluster": "new", "chat_id": "new talk"}
    newest = dataset.train.iloc[[0]].assign(vote_id="new vote", week=WEEK, **new)
    sound = dataclasses.replace(dataset, newest=newest, train=pd.concat([dataset.train, newest]))
    assert leaks(sound, settings) == []

    def planted(**changes: object) -> list[str]:
        """An earlier vote of the judge on the training side."""
        other = {"query": "eight nine ten", "context": "[]", "cluster": "old", "chat_id": "old talk"}
        known = dataset.judge_train.iloc[[0]].assign(**{**other, "week": earlier(WEEK, 3), **changes})
        return leaks(dataclasses.replace(sound, judge_train=pd.concat([sound.judge_train, known])), settings)

    assert planted() == []
    assert planted(query="one two three four five six seven", week=WEEK) == []
    for changes, what in (
        ({"query": "One two three four five six SEVEN"}, "queries"),
        ({"context": said(new["query"])}, "queries"),
        ({"query": "one two three four five six seven eight"}, "near-duplicate queries"),
        ({"cluster": "new"}, "clusters"),
        ({"chat_id": "new talk"}, "conversations"),
    ):
        assert planted(**changes) == [f"the weeks before and newest share {what}: 1"]
    older = dataclasses.replace(dataset, newest=newest.assign(week=earlier(WEEK, 1)), train=sound.train)
    assert leaks(older, settings) == ["newest holds votes of other weeks: 1"]
    assert leaks(dataclasses.replace(dataset, newest=newest), settings) == [
        "newest holds votes that are not in train: 1"
    ]
    of_judge = newest.assign(user_id=dataset.judge_train["user_id"].iloc[0])
    held_out = dataclasses.replace(
        dataset, judge_newest=of_judge, judge_train=pd.concat([dataset.judge_train, of_judge])
    )
    assert leaks(held_out, settings) == []
    assert leaks(dataclasses.replace(sound, judge_newest=newest), settings) == [
        "judge_newest holds votes that are not in judge_train: 1",
        "the judge's users and the others share people: 1",
    ]
    judge = dataset.judge_train["user_id"].iloc[0]
    assert leaks(dataclasses.replace(sound, newest=newest.assign(user_id=judge)), settings) == [
        "the judge's users and the others share people: 1"
    ]


def test_leaks_do_not_rest_on_the_index_that_made_the_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NearDuplicates, "like", lambda self, text: [])  # an index that misses everything
    settings = SplitSettings(near_duplicate=0.5)
    found = leaks(build_dataset(many_votes(0, 300), settings, WEEK), settings)
    assert any("near-duplicate" in line for line in found)
