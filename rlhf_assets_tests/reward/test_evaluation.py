import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from rlhf_assets.reward.evaluation import evaluate_reward, spearman
from rlhf_assets_tests.reward.votes import votes


def answers(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """Votes on whole answers from (query, response, score)."""
    frame = pd.DataFrame(rows, columns=["query", "response", "score"])
    return frame.assign(context="[]", kind="message", is_thumb=False, segment="worker", week="2026-11-15")


def test_figures_worked_by_hand() -> None:
    test = answers(("a", "x", 0.0), ("b", "x", 0.5), ("c", "x", 1.0), ("d", "x", 0.5))
    figures = evaluate_reward(np.array([0.2, 0.5, 0.6, 0.4]), test, mean_of_train=0.6)
    assert figures["mse"]["value"] == pytest.approx((0.04 + 0 + 0.16 + 0.01) / 4)
    assert figures["mse_of_mean"]["value"] == pytest.approx((0.36 + 0.01 + 0.16 + 0.01) / 4)
    assert figures["mse_ratio"]["value"] == pytest.approx(0.21 / 0.54)
    assert figures["mse"]["n"] == 4
    assert figures["by_segment"]["worker"]["mse"]["value"] == figures["mse"]["value"]


def test_spearman_is_scipys_with_ties() -> None:
    draw = np.random.default_rng(0)
    left, right = draw.integers(0, 5, 200), draw.normal(size=200)
    right[:50] = 0.3
    assert spearman(left, right + left) == pytest.approx(spearmanr(left, right + left).statistic)
    assert np.isnan(spearman(left, np.ones(200)))


def test_pairs_are_answers_to_one_question_that_were_rated_differently() -> None:
    test = answers(
        ("a", "good", 1.0), ("a", "good", 0.5), ("a", "bad", 0.25), ("a", "odd", 0.75),  # good and odd: equal means
        ("b", "good", 1.0), ("b", "bad", 0.0),
        ("c", "good", 1.0),
    )  # fmt: skip
    #             a: good > bad is wrong, odd > bad is right; b: a tie; good and odd of a, and c: no pair
    predicted = np.array([0.1, 0.1, 0.4, 0.5, 0.3, 0.3, 0.9])
    test.loc[test["query"] == "b", "segment"] = "student"
    figures = evaluate_reward(predicted, test, 0.5)
    by_segment = {name: found["pair_accuracy"] for name, found in figures["by_segment"].items()}
    for accuracy, right, pairs in (
        (figures["pair_accuracy"], (0 + 1 + 0.5) / 3, 3),
        (by_segment["worker"], 0.5, 2),
        (by_segment["student"], 0.5, 1),
    ):
        assert (accuracy["value"], accuracy["n"]) == (pytest.approx(right), pairs)
    other_chat = test.assign(context=[f"[{i}]" for i in range(7)])
    assert evaluate_reward(predicted, other_chat, 0.5)["pair_accuracy"]["n"] == 0
    assert evaluate_reward(predicted, test.assign(kind="step"), 0.5)["pair_accuracy"]["n"] == 0


def test_a_thumb_up_is_not_more_than_a_four() -> None:
    test = answers(
        ("a", "liked", 1.0), ("a", "scored", 0.75), ("a", "disliked", 0.0),
        ("b", "x", 0.75), ("b", "y", 0.5), ("b", "x", 0.0), ("b", "y", 1.0),  # scores say more than thumbs
    )  # fmt: skip
    test["is_thumb"] = [True, False, True, False, False, True, True]
    figure = evaluate_reward(np.array([0.5, 0.1, 0.4, 0.9, 0.8, 0.9, 0.8]), test, 0.5)["pair_accuracy"]
    assert (figure["value"], figure["n"]) == (1.0, 2)


def test_pairs_fall_into_bins_by_how_far_their_ratings_lie_apart() -> None:
    test = answers(("a", "x", 0.0), ("a", "y", 0.25), ("a", "z", 1.0), ("b", "x", 0.0), ("b", "y", 0.5))
    #    margins: xy of a 0.25, right; yz of a 0.75, wrong; xz of a 1.0, right; xy of b 0.5, a tie
    figures = evaluate_reward(np.array([0.1, 0.5, 0.3, 0.2, 0.2]), test, 0.5)["by_margin"]
    found = {name: (figure["value"], figure["n"]) for name, figure in figures.items()}
    assert found == {"up to 1 point": (1.0, 1), "1 to 2 points": (0.5, 1), "over 2 points": (0.5, 2)}


def test_many_segments_and_weeks_are_shown_in_part_and_as_they_can_be_shown() -> None:
    test = votes(300).assign(segment=[f"s{i // 6}\x1b[2J" if i > 30 else "main" for i in range(300)])
    test["week"] = [f"2026-{1 + i % 12:02}-{1 + i % 25:02}" for i in range(300)]
    figures = evaluate_reward(test["score"].to_numpy() * 0.9, test, 0.5)
    assert len(figures["by_segment"]) == len(figures["by_week"]) == 20
    assert figures["by_segment"]["main"]["mse"]["n"] == 31
    assert "\x1b" not in str(list(figures["by_segment"]))
    assert max(figures["by_week"]) == test["week"].max()


def test_segments_whose_names_look_alike_are_told_apart() -> None:
    names = [f"people who look for their first job in {what}" for what in ("solar", "wind")]
    test = votes(200).assign(segment=[names[i // 4 % 2] for i in range(200)])
    predicted = test["score"].where(test["segment"] == names[1], 1 - test["score"]).to_numpy()
    of = evaluate_reward(predicted, test, 0.5)["by_segment"]
    assert [name[38:] for name in of] == [" …", " … (2)"]
    assert [figures["spearman"]["value"] for figures in of.values()] == pytest.approx([-1, 1])


def test_intervals_hold_the_value_and_are_wider_where_votes_share_a_question() -> None:
    draw = np.random.default_rng(0)
    test = votes(400).assign(query=[f"question {i}" for i in range(400)])
    together = test.assign(query=[f"question {i // 40}" for i in range(400)])
    predicted = test["score"].to_numpy() + np.repeat(draw.normal(size=10), 40) * 0.3  # errors of a question are alike
    alone, shared = (evaluate_reward(predicted, frame, 0.5)["mse"] for frame in (test, together))
    for figure in (alone, shared):
        assert figure["low"] < figure["value"] < figure["high"]
    assert shared["high"] - shared["low"] > 2 * (alone["high"] - alone["low"])


def test_slices_by_kind_and_segment_count_their_rows() -> None:
    test = votes(60)
    figures = evaluate_reward(test["score"].to_numpy() * 0.9, test, 0.5)
    assert {name: part["mse"]["n"] for name, part in figures["by_kind"].items()} == {"message": 40, "step": 20}
    segments = {name: part["mse"]["n"] for name, part in figures["by_segment"].items()}
    assert segments == test["segment"].value_counts().to_dict()


def test_a_seed_gives_the_same_intervals() -> None:
    test = votes(60)
    predicted = np.random.default_rng(0).uniform(size=60)
    assert evaluate_reward(predicted, test, 0.5, 1) == evaluate_reward(predicted, test, 0.5, 1)
    assert evaluate_reward(predicted, test, 0.5, 1) != evaluate_reward(predicted, test, 0.5, 2)


@pytest.mark.parametrize(
    ("test", "predicted", "undefined"),
    [
        (votes(1).iloc[:0], [], {"mse", "mse_ratio", "mse_of_mean", "spearman", "pair_accuracy"}),
        (answers(("a", "x", 1.0)), [0.5], {"spearman", "pair_accuracy"}),
        (votes(20).assign(score=0.5), [0.4] * 20, {"mse_ratio", "spearman", "pair_accuracy"}),
        (votes(20), [float("nan")] * 20, {"mse", "mse_ratio", "spearman", "pair_accuracy"}),
    ],
    ids=["no rows", "one row", "constant scores", "NaN predictions"],
)
def test_what_cannot_be_told_is_null_in_plain_json(test: pd.DataFrame, predicted: list, undefined: set[str]) -> None:
    figures = evaluate_reward(np.array(predicted), test, mean_of_train=0.5)
    json.dumps(figures, allow_nan=False)
    assert figures["questions"] == test["query"].nunique()
    top = {name for name, figure in figures.items() if isinstance(figure, dict) and "value" in figure}
    assert {name for name in top if figures[name]["value"] is None} == undefined
