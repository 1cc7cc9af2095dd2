"""Each gate closes on the model it is for, and on no other; a good model passes all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.defs.reward_model.checks import GATES
from rlhf_assets.reward.calibration_figures import calibration
from rlhf_assets.reward.evaluation import evaluate_reward
from rlhf_assets.reward.gate import reasons_today, reward_gates
from rlhf_assets.reward.length_figures import length_figures, length_rule
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.reward.votes import votes

SETTINGS = RewardSettings(minimum_test_questions=1)
DRAW = np.random.default_rng(0)


def liked_for_length(rows: int, seed: int) -> pd.DataFrame:
    """Votes that length explains in part, so that a model of length alone is better than none."""
    made = votes(rows, seed)
    return made.assign(score=0.6 * made["score"] + 0.4 * made["response"].str.len() / made["response"].str.len().max())


TEST, SEEN = liked_for_length(600, 0), liked_for_length(600, 1)
TEST["segment"] = ["student" if i % 8 == 0 else "worker" for i in range(600)]
GIVEN = TEST["score"].to_numpy()
GOOD = 0.8 * GIVEN + 0.2 * GIVEN.mean() + DRAW.normal(scale=0.06, size=600)
SHUFFLED = GIVEN.mean() + DRAW.normal(scale=0.03, size=600)  # what training on shuffled labels comes to


def figures_of(predicted: np.ndarray, test: pd.DataFrame = TEST, seen: pd.DataFrame = SEEN) -> dict[str, Any]:
    return {
        **evaluate_reward(predicted, test, float(seen["score"].mean())),
        "calibration": calibration(predicted, test),
        "length": length_figures(predicted, test, seen),
    }


def gates(predicted: np.ndarray, test: pd.DataFrame = TEST, settings: RewardSettings = SETTINGS) -> dict[str, list]:
    return reward_gates(figures_of(predicted, test), settings)


def closed(found: dict[str, list]) -> set[str]:
    return {name for name, reasons in found.items() if reasons}


def test_every_gate_is_a_check_and_a_good_model_passes_them_all() -> None:
    found = gates(GOOD)
    assert list(found) == list(GATES)
    assert closed(found) == set()


def negated(cut: str, name: str) -> np.ndarray:
    return np.where(TEST[cut] == name, 2 * GOOD.mean() - GOOD, GOOD)


BAD: dict[str, tuple[np.ndarray, set[str], str]] = {
    "length alone": (length_rule(SEEN, TEST), {"better_than_length", "not_for_length"}, "length by Spearman 1.00"),
    "shuffled labels": (SHUFFLED, {"better_than_mean", "better_than_length"}, "not surely below that of predicting"),
    "the mean": (np.full(600, GIVEN.mean()), {"better_than_mean", "better_than_length"}, "1.00 (95 % interval"),
    "a broken segment": (negated("segment", "student"), {"no_segment_below_chance"}, "segment student worse than"),
    "a broken kind": (
        negated("kind", "step"),  # of a third of all votes
        {"no_segment_below_chance", "better_than_mean", "better_than_length"},
        "votes of kind step worse than chance",
    ),
    "miscalibrated": (GOOD + 0.14, {"calibrated"}, "surely above 0.1"),
    "not a number": (np.where(np.arange(600) == 7, np.nan, GOOD), {"tested"}, "not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_planted_bad_model_is_refused_by_the_gates_that_are_for_it(name: str) -> None:
    predicted, expected, said = BAD[name]
    found = gates(predicted)
    assert closed(found) == expected
    assert said in str(found)


@pytest.mark.parametrize(
    ("settings", "predicted", "open_now"),
    [
        ({"maximum_calibration_error": 0.3}, GOOD + 0.14, "calibrated"),
        ({"maximum_length_excess": 0.99}, length_rule(SEEN, TEST), "not_for_length"),
        ({"minimum_test_questions": 150}, negated("segment", "student"), "no_segment_below_chance"),  # too few to tell
    ],
)
def test_bounds_are_settings(settings: dict, predicted: np.ndarray, open_now: str) -> None:
    assert closed(gates(predicted)) - closed(gates(predicted, TEST, SETTINGS.model_copy(update=settings))) == {open_now}


def test_a_small_segment_below_chance_by_luck_blocks_nothing() -> None:
    rows = TEST["segment"].copy()
    worst = np.argsort(GIVEN)[[0, 1, -2, -1]]
    rows.iloc[worst] = "new"
    predicted = GOOD.copy()
    predicted[worst] = predicted[worst[::-1]]
    found = gates(predicted, TEST.assign(segment=rows), RewardSettings())
    assert closed(found) == set()


def test_luck_on_few_votes_is_not_enough() -> None:
    few = TEST.iloc[:6].assign(query=list("abcdef"), score=[0.0, 1.0] * 3)
    assert gates(np.array([0.1, 0.9, 0.1, 0.9, 0.8, 0.2]), few)["better_than_mean"]


def test_one_question_proves_nothing_however_many_votes_it_has() -> None:
    one = TEST.assign(query="the only one")
    assert closed(gates(GOOD, one)) == set()
    found = gates(GOOD, one, SETTINGS.model_copy(update={"minimum_test_questions": 2}))
    assert "on 1 questions, fewer than 2" in found["tested"][0]


def test_whole_answers_to_few_questions_say_nothing_of_length() -> None:
    few = TEST.assign(kind=np.where(TEST["query"] == TEST["query"].iloc[0], "message", "step"))
    predicted, settings = length_rule(SEEN, few), SETTINGS.model_copy(update={"maximum_length_excess": 0.01})
    assert gates(predicted, few, settings)["not_for_length"]
    settings = settings.model_copy(update={"minimum_test_questions": 20})
    assert closed(gates(predicted, few, settings)) == {"better_than_length"}


@pytest.mark.parametrize(
    ("gate", "test", "predicted", "said"),
    [
        ("tested", lambda: TEST.iloc[:0], lambda: np.empty(0), "no test votes"),
        (
            "better_than_mean",
            lambda: TEST.assign(score=float(SEEN["score"].mean())),
            lambda: np.full(600, 0.4),
            "equal the training mean",
        ),
    ],
)
def test_nothing_to_judge_by_is_a_reason_too(
    gate: str, test: Callable[[], pd.DataFrame], predicted: Callable[[], np.ndarray], said: str
) -> None:
    assert said in gates(predicted(), test())[gate][0]


@pytest.mark.parametrize("lost", ["questions", "by_segment", "calibration", "length"])
def test_a_card_without_a_gates_figure_does_not_pass(lost: str) -> None:
    figures = figures_of(GOOD)
    assert reasons_today(figures, SETTINGS) == []
    del figures[lost]
    assert reasons_today(figures, SETTINGS) == [f"its card has no figure '{lost}', which a gate asks for"]


def test_a_card_is_judged_by_todays_bounds() -> None:
    stricter = SETTINGS.model_copy(update={"minimum_test_questions": 10_000})
    assert reasons_today(figures_of(GOOD), stricter) == ["its test votes are on 150 questions, fewer than 10000"]


def test_a_rule_of_length_that_never_errs_cannot_be_beaten() -> None:
    figures = figures_of(GOOD)
    figures["length"]["mse_ratio"] = {"value": None, "low": None, "high": None, "n": 600}
    (reason,) = reasons_today(figures, SETTINGS)
    assert reason.startswith("answer length alone says what its 600 test votes give")
