"""Pairs, thumbs and steps, worked by hand."""

import pandas as pd

from rlhf_assets.feedback.views import pairs, steps, thumbs
from rlhf_assets_tests.feedback.test_split import many_votes
from rlhf_assets_tests.feedback.votes import clean_frame, identity, step_vote, vote

TURNS = '[{"role": "user", "content": "Hello"}]'


def rated(number: int, response: str, score: int, query: str = "Where do I start?", **changes: object) -> dict:
    return vote(number, query=query, response=response, feedback=None, feedback_score=score, **changes)


def test_pairs_are_answers_to_one_state_of_a_chat_with_different_mean_ratings() -> None:
    rows = clean_frame(
        rated(0, "a poor answer", 1),
        rated(1, "a fair answer", 4),
        rated(2, "a fair answer", 2),  # 3 in the mean
        rated(3, "a good answer", 5),
        vote(4, query="Where do I start?", response="a good answer"),  # a thumb is a rating too
        rated(5, "another fair answer", 3),
        rated(6, "an answer elsewhere", 1, context=TURNS),
        rated(7, "a better answer elsewhere", 3, context=TURNS),
        rated(8, "a brief answer", 1, system_prompt="Be brief."),
        rated(9, "the only answer", 1, query="What else?"),
        step_vote(10, query="What else?", response="a step is no answer"),
    )
    made = pairs(rows, 16)
    assert list(made.columns) == [
        "query", "context", "system_prompt", "chosen", "rejected", "chosen_score", "rejected_score", "margin",
    ]  # fmt: skip
    assert made[["context", "chosen", "rejected", "chosen_score", "rejected_score", "margin"]].values.tolist() == [
        ["[]", "a good answer", "a fair answer", 1, 0.5, 0.5],
        ["[]", "a good answer", "another fair answer", 1, 0.5, 0.5],
        ["[]", "a good answer", "a poor answer", 1, 0, 1],
        ["[]", "a fair answer", "a poor answer", 0.5, 0, 0.5],
        ["[]", "another fair answer", "a poor answer", 0.5, 0, 0.5],
        [TURNS, "a better answer elsewhere", "an answer elsewhere", 0.5, 0, 0.5],
    ]
    assert made["system_prompt"].isna().all()


def test_the_answers_with_most_ratings_of_a_state_are_paired() -> None:
    often = [rated(number, "an often rated answer", 3) for number in (3, 4)]
    rows = clean_frame(*(rated(number, f"answer number {number}", number + 1) for number in range(3)), *often)
    assert pairs(rows, 2)[["chosen", "rejected"]].values.tolist() == [["an often rated answer", "answer number 0"]]
    assert len(pairs(rows, 3)) == 3


def test_thumbs_are_votes_of_their_own_whatever_stands_beside_them() -> None:
    rows = clean_frame(
        vote(0, feedback=" Positive"),
        vote(1, feedback="negative", feedback_score=3, system_prompt="Be brief."),
        rated(2, "a scored answer", 5),
        step_vote(3),
    )
    made = thumbs(rows)
    assert list(made.columns) == ["vote_id", "query", "context", "system_prompt", "response", "label"]
    assert made["vote_id"].tolist() == [identity("vote 0"), identity("vote 1")]
    assert made["label"].tolist() == [True, False]
    assert made["response"].tolist() == rows["response"][:2].tolist()


def test_steps_carry_their_place() -> None:
    earlier = '["first this"]'
    rows = clean_frame(
        vote(0), step_vote(1, steps_before=earlier, step_order=1, response="then that, twice", feedback="negative")
    )
    (made,) = steps(rows).to_dict("records")
    assert (made["step"], made["steps_before"], made["step_order"], made["score"]) == (
        "then that, twice", earlier, 1, 0,
    )  # fmt: skip
    assert made["query"] == rows["query"][1]
    assert made["vote_id"] == identity("vote 1")


def test_no_votes_make_empty_views_of_the_same_shape() -> None:
    full, empty = many_votes(0, 100), clean_frame()
    for view in (lambda votes: pairs(votes, 16), thumbs, steps):
        assert view(empty).empty
        pd.testing.assert_series_equal(view(empty).dtypes, view(full).dtypes)
    assert len(pairs(clean_frame(rated(0, "an answer of its own", 1), rated(1, "and a better one", 2)), 16)) == 1
