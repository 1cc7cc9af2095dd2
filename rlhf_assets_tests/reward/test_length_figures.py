import json

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.reward.length_figures import length_figures, length_rule
from rlhf_assets_tests.reward.votes import votes


def of_lengths(*rows: tuple[int, float]) -> pd.DataFrame:
    """Votes on whole answers of so many characters."""
    frame = pd.DataFrame({"response": ["x" * n for n, _ in rows], "score": [score for _, score in rows]})
    return frame.assign(query=[str(i // 2) for i in range(len(rows))], context="[]", kind="message", is_thumb=False)


def test_the_rule_is_a_parabola_in_log_length_that_ends_where_the_lengths_seen_do() -> None:
    def liked(characters: int) -> float:
        return 0.9 - 0.1 * float(np.log1p(characters) - 3) ** 2

    seen = of_lengths(*((n, liked(n)) for n in (1, 10, 100, 400)))
    asked = of_lengths((30, 0.0), (0, 0.0), (10**6, 0.0))
    assert length_rule(seen, asked) == pytest.approx([liked(30), liked(1), liked(400)])
    assert length_rule(of_lengths((5, 0.2), (5, 0.6)), asked) == pytest.approx([0.4] * 3)
    assert length_rule(of_lengths((5, 0.2), (30, 0.6)), asked) == pytest.approx([0.6, 0.2, 0.6])


def test_each_kind_has_a_rule_of_its_own() -> None:
    steps = of_lengths((5, 1.0), (50, 0.0)).assign(kind="step")
    seen = pd.concat([of_lengths((5, 0.0), (50, 1.0)), steps], ignore_index=True)
    assert length_rule(seen, seen) == pytest.approx(seen["score"].tolist())
    assert length_rule(seen, steps.assign(kind="new")) == pytest.approx([0.5, 0.5])


def test_figures_worked_by_hand() -> None:
    test = of_lengths((10, 0.0), (20, 1.0), (30, 0.5), (40, 0.75))
    seen = of_lengths((10, 0.0), (40, 1.0))
    found = length_figures(np.array([0.1, 0.2, 0.3, 0.4]), test, seen)
    assert found["correlation_of_score"]["value"] == pytest.approx(1.0)
    assert found["correlation_of_ratings"]["value"] == pytest.approx(0.4)  # 1 - 6 (0 + 4 + 1 + 1) / (4 * 15)
    assert found["excess"]["value"] == pytest.approx(0.6)
    assert found["rule"]["pair_accuracy"]["value"] == 1.0, "of both questions the longer answer won"
    of_rule = np.mean((length_rule(seen, test) - test["score"]) ** 2)
    assert found["rule"]["mse"]["value"] == pytest.approx(of_rule)
    assert found["mse_ratio"]["value"] == pytest.approx((0.01 + 0.64 + 0.04 + 0.1225) / 4 / of_rule)


def test_steps_are_left_out_where_whole_answers_are_there() -> None:
    test = votes(300)
    long_steps = test["kind"] == "step"
    predicted = np.where(long_steps, test["response"].str.len(), np.random.default_rng(0).uniform(size=300))
    whole = length_figures(predicted, test, test)["correlation_of_score"]
    assert (whole["n"], abs(whole["value"]) < 0.2) == (200, True)
    alone = length_figures(predicted[long_steps], test[long_steps], test)["correlation_of_score"]
    assert (alone["n"], alone["value"]) == (100, pytest.approx(1.0))


@pytest.mark.parametrize("test", [votes(1).iloc[:0], votes(20).assign(response="as long")], ids=["none", "one length"])
def test_what_cannot_be_told_is_null_in_plain_json(test: pd.DataFrame) -> None:
    found = length_figures(np.linspace(0, 1, len(test)), test, votes(50))
    json.dumps(found, allow_nan=False)
    assert found["excess"]["value"] is None
