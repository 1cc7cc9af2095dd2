"""What votes teach, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.reward.lessons import Lessons, freed_of_strictness, lessons
from rlhf_assets.reward.settings import RewardSettings

SETTINGS = RewardSettings(score_weight=1, thumb_weight=0.5, step_weight=2, pair_weight=3)


def vote(response: str, score: float, user: str | None = None, **changes: object) -> dict[str, object]:
    row = {"query": "Why?", "context": "[]", "steps_before": "[]", "response": response, "kind": "message"}
    return {**row, "score": score, "is_thumb": False, "user_id": user, **changes}


def test_each_text_once_with_its_means_and_weights() -> None:
    rows = [
        vote("a", 0.0),
        vote("b", 0.45),
        vote("a", 0.5),
        vote("a", 1.0, is_thumb=True),
        vote("1. c", 0.25, kind="step"),
        vote("1. c", 0.0, kind="step", is_thumb=True),
    ]
    made = lessons(pd.DataFrame(rows), SETTINGS)
    assert made.texts["response"].tolist() == ["a", "b", "1. c"]
    assert made.score.tolist() == [0.25, 0.45, 0.25]
    assert made.score_weight.tolist() == [2, 1, 2]
    assert made.thumb.tolist() == [1, 0, 0]
    assert made.thumb_weight.tolist() == [0.5, 0, 1]
    assert (made.better.tolist(), made.worse.tolist()) == ([1], [0])  # by their scores, whatever a thumb says
    assert made.weight == 5 + 1.5 + 3


def test_answers_of_one_state_compete_by_their_means_and_count_as_one_question() -> None:
    rows = [
        *(vote(text, score) for text, score in (("a", 0.0), ("b", 1.0), ("c", 0.5), ("also c", 0.5))),
        *(vote(text, score, query="How?") for text, score in (("a", 0.0), ("b", 1.0))),
        vote("1. z", 0.0, kind="step"),
        vote("later", 1.0, context='[{"role": "user", "content": "Hello"}]'),
    ]
    made = lessons(pd.DataFrame(rows), SETTINGS)
    said = made.texts["query"] + made.texts["response"]
    pairs = {(said[one], said[other]) for one, other in zip(made.better, made.worse, strict=True)}
    first = {
        ("Why?b", "Why?a"),
        ("Why?b", "Why?c"),
        ("Why?b", "Why?also c"),
        ("Why?c", "Why?a"),
        ("Why?also c", "Why?a"),
    }
    assert pairs == {*first, ("How?b", "How?a")}
    weight = dict(zip(zip(said[made.better], said[made.worse], strict=True), made.pair_weight, strict=True))
    assert [weight[pair] for pair in first] == pytest.approx([3 / 5] * 5)
    assert weight["How?b", "How?a"] == 3


def test_judged_pairs_come_as_they_were_judged() -> None:
    pairs = pd.DataFrame({"query": "Why?", "context": "[]", "chosen": ["a", "b", "a"], "rejected": ["b", "a", "c"]})
    made = lessons(pd.DataFrame([vote("b", 1.0)]), SETTINGS, pairs)
    assert made.texts["response"].tolist() == ["b", "a", "c"]
    assert (made.better.tolist(), made.worse.tolist()) == ([1, 0, 1], [0, 1, 2])
    assert made.pair_weight.tolist() == pytest.approx([1 / 3] * 3)  # whatever pairs of ratings count
    alone = lessons(pd.DataFrame([vote("b", 1.0)]).iloc[:0], SETTINGS, pairs)
    assert (len(alone.texts), alone.weight) == (3, pytest.approx(1))


def test_what_counts_nothing_is_not_learned_from() -> None:
    rows = [
        vote("scored", 0.25, "s"),
        vote("scored", 0.75, "k"),
        vote("thumbed", 1.0, "k", is_thumb=True),
        vote("thumbed down", 0.0, "s", is_thumb=True),
        vote("alone", 0.5, "s", query="How?"),
        vote("1. c", 0.0, "k", kind="step"),
    ]

    def taught(**changes: float) -> Lessons:
        return lessons(pd.DataFrame(rows), SETTINGS.model_copy(update=changes))

    scores = taught(thumb_weight=0, pair_weight=0, step_weight=0)
    assert scores.texts["response"].tolist() == ["scored", "alone"]
    assert scores.votes["text"].tolist() == [0, 0, 1]
    strict, kind = (0.25 + 0.5 - 2 * 0.5) / 12, (0.75 - 0.5) / 11  # of the scores alone, whose mean is 0.5
    assert scores.score == pytest.approx([0.5 - (strict + kind) / 2, 0.5 - strict])
    thumbs = taught(score_weight=0, pair_weight=0)
    assert thumbs.texts["response"].tolist() == ["thumbed", "thumbed down"]
    assert (thumbs.thumb.tolist(), thumbs.thumb_weight.tolist(), thumbs.weight) == ([1, 0], [0.5, 0.5], 1)
    pairs = taught(score_weight=0, thumb_weight=0)
    assert pairs.texts["response"].tolist() == ["thumbed", "thumbed down"]  # and neither with the one that has scores
    assert (pairs.better.tolist(), pairs.worse.tolist(), pairs.weight) == ([0], [1], 3)
    assert pairs.votes.empty
    assert taught(score_weight=0, thumb_weight=0, pair_weight=0).texts.empty


def test_rarely_rated_answers_count_for_more_within_bounds() -> None:
    weights = {"a": 5.0, "b": 2.0, "c": 1.0, "d": 0.1}
    rows = pd.DataFrame([vote(text, 0.5, inverse_propensity=weight) for text, weight in weights.items()])
    made = lessons(rows, SETTINGS.model_copy(update={"maximum_inverse_propensity": 4.0}))
    assert made.score_weight.tolist() == [4, 2, 1, 0.25]
    assert lessons(rows, SETTINGS).score_weight.tolist() == [1, 1, 1, 1]  # off


def test_strictness_is_shrunk_and_taken_out() -> None:
    strict, kind = ([vote(f"{user} {i}", score, user) for i in range(10)] for user, score in (("s", 0.0), ("k", 1.0)))
    made = lessons(pd.DataFrame([*strict, *kind, vote("new", 0.5, "n"), vote("nobody's", 1.0)]), SETTINGS)
    mean = 11.5 / 22
    taken = [-10 * mean / 20] * 10 + [10 * (1 - mean) / 20] * 10 + [(0.5 - mean) / 11, 0.0]
    assert made.score == pytest.approx(np.array([0.0] * 10 + [1.0] * 10 + [0.5, 1.0]) - taken)


def test_strictness_is_what_the_texts_do_not_explain() -> None:
    """Somebody who met bad answers alone is not strict once the model knows that these are bad."""
    rows = pd.DataFrame([vote(f"bad {i}", 0.0, "unlucky") for i in range(10)] + [vote("good", 1.0, "other")])
    made = lessons(rows, SETTINGS)
    assert made.score[0] > 0
    again = freed_of_strictness(made, np.array([0.0] * 10 + [1.0]))
    assert again.score.tolist() == [0.0] * 10 + [1.0]


def test_thumbs_stay_what_they_are_and_say_nothing_of_strictness() -> None:
    thumbs = [vote(f"liked {i}", 1.0, "kind", is_thumb=True) for i in range(9)]
    down = [vote("disliked", 0.0, "kind", is_thumb=True)]
    made = lessons(pd.DataFrame([*thumbs, *down, vote("scored", 0.75, "kind"), vote("scored", 0.25)]), SETTINGS)
    for lesson in (made, freed_of_strictness(made, np.full(11, 0.5))):
        assert lesson.thumb.tolist() == [1] * 9 + [0] * 2
        assert lesson.score[10] == pytest.approx(0.5 - 0.25 / 11 / 2)


def test_who_rates_answers_is_not_strict_for_what_steps_usually_get() -> None:
    rows = [
        *(vote(f"a {i}", 0.9, "one") for i in range(5)),
        *(vote(f"s {i}", 0.1, "two", kind="step") for i in range(5)),
    ]
    assert lessons(pd.DataFrame(rows), SETTINGS).score == pytest.approx([0.9] * 5 + [0.1] * 5)


def test_answers_compete_only_where_strictness_and_ratings_agree() -> None:
    strict, kind = (
        [vote(f"{user} {i}", score, user, query=f"{i}?") for i in range(9)] for user, score in (("s", 0.0), ("k", 1.0))
    )
    rows = [*strict, *kind, vote("by s", 0.5, "s"), vote("by k", 0.5, "k"), vote("by nobody", 0.7)]
    made = lessons(pd.DataFrame(rows), SETTINGS)
    said = made.texts["response"]
    pairs = {(said[a], said[b]) for a, b in zip(made.better, made.worse, strict=True) if "by" in said[a] + said[b]}
    assert pairs == {("by nobody", "by k")}  # one point less from somebody strict may be as much
