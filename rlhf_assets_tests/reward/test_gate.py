import numpy as np
import pytest

from rlhf_assets.reward.evaluation import evaluate_reward
from rlhf_assets.reward.gate import reward_gate
from rlhf_assets_tests.reward.votes import votes

TEST = votes(120)
NOISE = np.random.default_rng(0).normal(scale=0.3, size=120)


def reasons(predicted: np.ndarray, test: object = TEST, mean: float = 0.5) -> list[str]:
    return reward_gate(evaluate_reward(predicted, test, mean), minimum_questions=1)


def test_a_model_surely_better_than_the_mean_is_accepted() -> None:
    assert reasons(TEST["score"].to_numpy() + 0.5 * NOISE) == []


@pytest.mark.parametrize("predicted", [0.5 + NOISE, np.full(120, 0.5), 0.5 + 0.01 * NOISE])
def test_one_that_is_not_is_rejected(predicted: np.ndarray) -> None:
    (reason,) = reasons(predicted)
    assert "not surely below that of predicting the mean" in reason


def test_luck_on_few_votes_is_not_enough() -> None:
    few = TEST.iloc[:6].assign(query=list("abcdef"), score=[0.0, 1.0] * 3)
    figures = evaluate_reward(np.array([0.1, 0.9, 0.1, 0.9, 0.8, 0.2]), few, 0.5)
    assert figures["mse_ratio"]["value"] < 0.9
    assert reward_gate(figures, minimum_questions=1)


def test_one_question_proves_nothing_however_many_votes_it_has() -> None:
    test = TEST.assign(query="the only one")
    figures = evaluate_reward(test["score"].to_numpy() + 0.5 * NOISE, test, 0.5)
    assert reward_gate(figures, minimum_questions=1) == []
    (reason,) = reward_gate(figures, minimum_questions=2)
    assert "on 1 questions, fewer than 2" in reason


def test_nothing_to_judge_by_is_a_reason_too() -> None:
    assert "no test votes" in reasons(np.empty(0), TEST.iloc[:0])[0]
    assert "not finite" in reasons(np.where(np.arange(120) == 7, np.nan, 0.5))[0]
    assert "equal the training mean" in reasons(np.full(120, 0.4), TEST.assign(score=0.5))[0]
