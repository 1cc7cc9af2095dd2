"""Which votes an arm learns from, and its figures by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.reward_signals import ARMS, PAIR_WEIGHT, arm, figures_of
from rlhf_assets.reward.lessons import lessons
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.reward.votes import votes

LEARNED = {  # whether answers' scores, answers' thumbs, pairs, steps' scores, steps' thumbs are
    "all": (True, True, True, True, True),
    "scores alone": (True, False, False, False, False),
    "thumbs alone": (False, True, False, False, False),
    "pairs alone": (False, False, True, False, False),
    "steps alone": (False, False, False, True, True),
    "all but scores": (False, True, True, False, True),
    "all but thumbs": (True, False, True, True, False),
    "all but pairs": (True, True, False, True, True),
    "all but steps": (True, True, True, False, False),
    "all but pairs and thumbs": (True, False, False, True, False),
    "all but pairs and steps": (True, True, False, False, False),
    "all by inverse propensity": (True, True, True, True, True),
}


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_learns_from_its_signals_and_nothing_else(name: str) -> None:
    rows = votes(400)
    settings, learned = arm(name, RewardSettings(pair_weight=PAIR_WEIGHT), rows)
    made = lessons(learned, settings)
    step = (made.texts["steps_before"] != "[]").to_numpy()  # as those votes have them
    found = [
        (made.score_weight * ~step).any(),
        (made.thumb_weight * ~step).any(),
        made.pair_weight.any(),
        (made.score_weight * step).any(),
        (made.thumb_weight * step).any(),
    ]
    assert tuple(map(bool, found)) == LEARNED[name]


def test_figures_are_means_over_the_seeds() -> None:
    test = pd.DataFrame(
        {
            "query": ["a", "a", "b", "b", "b", "b"],
            "context": "[]",
            "response": list("123456"),
            "is_thumb": False,
            "kind": ["message", "message", "message", "message", "step", "step"],
            "score": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        }
    )
    right = np.array([1.0, 2.0, 3.0, 4.0, 0.0, 1.0])
    within = np.array([3.0, 4.0, 1.0, 2.0, 0.0, 1.0])  # right in each question, wrong between the two
    found = figures_of([right, within], {"difference": [right, right]}, test)
    assert found["spearman"]["value"] == pytest.approx((1 - 0.6) / 2)
    assert found["pair_accuracy"]["value"] == 1
    assert found["difference"]["spearman"]["value"] == pytest.approx(-0.8)
    assert found["difference"]["pair_accuracy"] == {"value": 0, "low": 0, "high": 0}
    wrong = figures_of([right, -right], {}, test)
    assert (wrong["spearman"]["value"], wrong["pair_accuracy"]["value"]) == (0, 0.5)
