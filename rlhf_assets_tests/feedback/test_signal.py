"""What new votes could show, on made-up votes."""

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.signal import FOUND, design_effect, signal


def votes(scores: list[float], clusters: list[str] | None = None, first: int = 0) -> pd.DataFrame:
    """On a question each, unless their clusters say otherwise."""
    ids = [f"vote {first + number}" for number in range(len(scores))]
    return pd.DataFrame({"vote_id": ids, "score": scores, "cluster": clusters or [f"of {name}" for name in ids]})


def test_new_are_votes_that_were_not_there_or_not_so() -> None:
    before = votes([0.0, 0.25, 0.5, 0.75])
    assert signal(before, before).new == 0
    assert signal(before, votes([0.0, 0.25, 0.5, 0.75, 1.0])).new == 1
    assert signal(before, votes([1.0, 0.25, 0.5, 0.75])).new == 1
    assert signal(before, before.head(2)).new == 0


def test_without_new_votes_or_others_nothing_can_be_compared() -> None:
    some = votes([0.0, 1.0])
    assert signal(some, some).difference is None
    assert signal(some.head(0), some).difference is None
    assert signal(some.head(0), some).new == 2


def test_of_unrelated_votes_it_is_the_textbooks_difference() -> None:
    """(1.960 + 0.842) x deviation x sqrt(1 / 100 + 1 / 300)."""
    before = votes([0.0, 1.0] * 150)
    now = pd.concat([before, votes([0.0, 1.0] * 50, first=300)])
    assert signal(before, now).difference == pytest.approx(2.802 * 0.5 * np.sqrt(1 / 100 + 1 / 300), abs=1e-4)


def test_votes_that_repeat_each_other_count_once() -> None:
    """Four votes on each of 100 questions that always agree say as much as 100 votes."""
    scores, clusters = [0.0] * 4 + [1.0] * 4, [[f"question {pair}"] * 4 for pair in range(100)]
    of_all = votes(scores * 50, [name for four in clusters for name in four])
    before, alone = of_all.head(200), votes([0.0, 1.0] * 50)
    assert signal(before, of_all).difference == pytest.approx(signal(alone.head(50), alone).difference, rel=1e-6)


def test_one_question_with_many_votes_costs_more_than_many_with_few() -> None:
    """1 + 0.5 x ((9 + 1) / 4 - 1)."""
    assert design_effect(votes([0.5] * 4, ["one", "one", "one", "other"]), alike=0.5) == pytest.approx(1.75)


def test_a_difference_of_that_size_is_found_four_times_in_five_and_none_once_in_twenty() -> None:
    draw = np.random.default_rng(0)

    def drawn(questions: int, name: str) -> pd.DataFrame:
        of_question = np.repeat(np.arange(questions), draw.integers(1, 8, questions))
        scores = draw.normal(0.5, 0.2, questions)[of_question] + draw.normal(0, 0.3, len(of_question))
        made = votes(list(scores), [f"{name} {number}" for number in of_question])
        return made.assign(vote_id=f"{name} " + made["vote_id"])

    def told_apart(new: pd.DataFrame, before: pd.DataFrame) -> bool:
        error = signal(before, pd.concat([before, new])).difference / FOUND
        return abs(new["score"].mean() - before["score"].mean()) > 1.96 * error

    found, made_up, tries = 0, 0, 200
    for _ in range(tries):
        before, new = drawn(200, "before"), drawn(40, "new")
        shift = signal(before, pd.concat([before, new])).difference
        found += told_apart(new.assign(score=new["score"] + shift), before)
        made_up += told_apart(new, before)
    assert found / tries == pytest.approx(0.8, abs=0.1)
    assert made_up / tries == pytest.approx(0.05, abs=0.05)
