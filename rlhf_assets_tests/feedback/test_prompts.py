"""Prompts: each state of a chat once, on the side of its query."""

import pandas as pd
import pytest

from rlhf_assets.feedback.near_duplicates import jaccard, shingles
from rlhf_assets.feedback.prompts import policy_prompts
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import build_dataset, chat_sides, side_of, user_turns
from rlhf_assets_tests.feedback.test_split import many_votes, question, said
from rlhf_assets_tests.feedback.votes import WEEK, clean_frame, step_vote, vote

SETTINGS = SplitSettings()
TURNS = '[{"role": "user", "content": "Hello"}]'


def test_one_prompt_per_state() -> None:
    query = question("train")
    assert side_of("hello", SETTINGS) == "train"
    rows = clean_frame(
        vote(0, query=query),
        vote(1, query=query),
        step_vote(2, query=query),
        vote(3, query=query, context=TURNS),
        vote(4, query=query, system_prompt="Be brief."),
        vote(5, query=question("test")),
    )
    prompts = policy_prompts(rows.iloc[::-1], SETTINGS)
    assert list(prompts.columns) == ["prompt_id", "query", "context", "system_prompt", "side", "segment"]
    assert prompts["context"].tolist() == ["[]", TURNS, "[]", "[]"]
    assert prompts["system_prompt"].fillna("none").tolist() == ["none", "none", "Be brief.", "none"]
    assert prompts["side"].tolist() == ["train", "train", "train", "test"]
    assert prompts["prompt_id"].is_unique
    again = policy_prompts(rows.iloc[3:], SETTINGS)
    assert set(again["prompt_id"]) == set(prompts["prompt_id"][1:])


def test_prompts_are_on_the_sides_of_the_dataset_and_without_conflicts() -> None:
    clean, settings = many_votes(0, 300), SplitSettings(near_duplicate=0.5)
    dataset, prompts = build_dataset(clean, settings, WEEK), policy_prompts(clean, settings)
    chat = ["query", "context"]
    placed = pd.concat(dataset.sides().values()).drop_duplicates(chat).set_index(chat)["side"]
    assert not dataset.conflicts.empty
    decided = clean.join(chat_sides(clean, settings)["side"]).dropna(subset="side").set_index(chat)["side"].to_dict()
    assert prompts.set_index(chat)["side"].to_dict() == decided
    assert placed.to_dict().items() <= decided.items()


@pytest.mark.parametrize("seed", range(3))
def test_training_prompts_share_nothing_with_any_test(seed: int) -> None:
    """No query, no earlier turn and no near duplicate of either, by comparing everything with everything."""
    clean, settings = many_votes(seed, 300), SplitSettings(near_duplicate=0.5, judge_share=0.4)
    dataset, prompts = build_dataset(clean, settings, WEEK), policy_prompts(clean, settings)
    tests = pd.concat([dataset.test, dataset.judge_test, prompts[prompts["side"] == "test"]])
    practised, asked = (
        {turn for chat in zip(rows["query"], rows["context"], strict=True) for turn in user_turns(*chat)}
        for rows in (prompts[prompts["side"] == "train"], tests)
    )
    assert min(len(practised), len(asked)) > 5
    assert not [1 for ours in practised for theirs in asked if jaccard(shingles(ours), shingles(theirs)) >= 0.5]


def test_a_follow_up_is_on_the_side_of_its_first_question() -> None:
    first, follow_up = question("test"), question("train")
    rows = clean_frame(vote(0, query=follow_up, context=said(first)), vote(1, query=follow_up))
    assert policy_prompts(rows, SETTINGS)["side"].tolist() == ["test", "test"]


def test_a_prompts_segment_is_that_of_whose_vote_was_seen_first() -> None:
    first, other, known = (question("test"), question("train"), "What else does it cost?")
    rows = clean_frame(
        vote(0, query=first, segment="student"),
        vote(1, query=first, segment="farmer"),
        vote(2, query=other, segment=None),
        vote(3, query=known, segment="farmer"),
    )
    prompts = policy_prompts(rows.iloc[::-1], SETTINGS).set_index("query")["segment"]
    assert (prompts[first], prompts[known]) == ("student", "farmer")
    assert pd.isna(prompts[other])


def test_no_votes_no_prompts() -> None:
    empty, full = policy_prompts(clean_frame(), SETTINGS), policy_prompts(clean_frame(vote(0)), SETTINGS)
    assert empty.empty
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)
