"""The losses against numbers worked by hand and a plain loop."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from rlhf_assets.reward.lessons import Lessons
from rlhf_assets.reward.objective import Objective

LESSONS = Lessons(
    texts=pd.DataFrame(index=range(4)),
    score=np.array([0.5, 0.0, 1.0, 0.0]),
    score_weight=np.array([2.0, 0.0, 1.0, 0.0]),
    thumb=np.array([0.0, 1.0, 0.25, 0.0]),
    thumb_weight=np.array([0.0, 0.5, 1.0, 0.0]),
    better=np.array([0, 2, 2]),
    worse=np.array([1, 1, 3]),
    pair_weight=np.array([0.5, 0.5, 1.0]),
    votes=pd.DataFrame(),
)
RATINGS = torch.tensor([0.75, 0.5, 1.0, -0.5])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_scores_thumbs_and_pairs_by_hand() -> None:
    score = 2 * 0.25**2 + 0
    liked = [4 * (rating - 0.5) for rating in RATINGS.tolist()]
    thumb = (
        -0.5 * math.log(sigmoid(liked[1])) - 0.25 * math.log(sigmoid(liked[2])) - 0.75 * math.log(sigmoid(-liked[2]))
    )
    pair = -0.5 * math.log(sigmoid(4 * 0.25)) - 0.5 * math.log(sigmoid(4 * 0.5)) - math.log(sigmoid(4 * 1.5))
    assert Objective(LESSONS, "cpu")(RATINGS).item() == pytest.approx(score + thumb + pair, rel=1e-6)
    assert LESSONS.weight == 6.5


def test_parts_that_keep_together_what_competes_add_up_to_the_whole() -> None:
    objective = Objective(LESSONS, "cpu")
    only = Objective(LESSONS, "cpu")
    assert objective(RATINGS[[1]], torch.tensor([1])).item() == pytest.approx(0.5 * math.log(2), rel=1e-6)
    shuffled = torch.tensor([2, 0, 3, 1])
    assert objective(RATINGS[shuffled], shuffled).item() == pytest.approx(only(RATINGS).item(), rel=1e-6)


def test_the_steepness_and_the_turning_point_learn() -> None:
    objective = Objective(LESSONS, "cpu")
    objective(RATINGS).backward()
    assert all(bool((link.grad != 0).all()) for link in objective.parameters())
