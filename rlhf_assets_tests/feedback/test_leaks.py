"""Leaks planted to be found."""

import dataclasses

import pandas as pd
import pytest

from rlhf_assets.feedback.leaks import leaks
from rlhf_assets.feedback.near_duplicates import NearDuplicates
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import build_dataset
from rlhf_assets_tests.feedback.test_split import many_votes, said


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
