"""What a learner judges best, and what it keeps in the end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from rlhf_assets.compute import Compute
from rlhf_assets.reward.inputs import TEXTS
from rlhf_assets.reward.learner import Learner, calibrated_loss
from rlhf_assets.reward.lessons import lessons
from rlhf_assets.reward.objective import Objective
from rlhf_assets.reward.processes import Processes
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import starting_model
from rlhf_assets_tests.reward.votes import votes

FP32 = Compute("cpu", "fp32")


def test_a_model_is_judged_by_what_it_says_after_calibration() -> None:
    judge = Objective(lessons(votes(80), RewardSettings(pair_weight=0.1)), "cpu")
    said = torch.randn(len(judge.score), generator=torch.Generator().manual_seed(0)) + 2 * judge.score

    def loss(line: np.ndarray) -> float:
        with torch.no_grad():
            return float(judge(line[0] + line[1] * said))

    least = minimize(loss, [0.0, 0.1], method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-6}).fun
    assert calibrated_loss(said, judge) == pytest.approx(least, rel=1e-3)
    assert calibrated_loss(10 * said - 3, judge) == pytest.approx(least, rel=1e-3)
    wrong, constant = calibrated_loss(-said, judge), calibrated_loss(torch.ones_like(said), judge)
    assert wrong == pytest.approx(constant, rel=1e-2)  # a falling line would turn the order round
    assert constant > 1.05 * least


def test_thumbs_that_are_all_foreseen_leave_a_loss_that_is_a_number() -> None:
    rows = votes(200).assign(is_thumb=True, score=[float(i % 15 > 0) for i in range(200)])
    judge = Objective(lessons(rows.drop_duplicates(TEXTS), RewardSettings()), "cpu")
    for scale in (1e-3, 1.0, 1e3):
        assert 0 <= calibrated_loss(scale * judge.thumb, judge) < 0.05 * judge.weight


def test_what_is_kept_is_the_best_between_the_start_and_the_best_epoch(encoder: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), epochs=8, learning_rate=5e-4, pair_weight=0.1)
    model, tokenizer = starting_model(settings, FP32)
    known, held_out = lessons(votes(200), settings), lessons(votes(60, seed=1), settings)
    learner = Learner(model, tokenizer, known, held_out, settings, FP32, Processes(0, 1))
    learner.learn_head()
    while learner.done < len(learner.batches):
        learner.learn_batch()
    losses = [row["validation_loss"] or 0.0 for row in learner.history]
    mix = learner.settle()
    assert learner.best.epoch == int(np.argmin(losses)) > 0
    kept = learner.judged(learner.raw())
    assert kept is not None
    assert kept <= min(losses) + 1e-6
    for name, weight in learner.weights().items():
        torch.testing.assert_close(weight, torch.lerp(learner.start[name], learner.best.weights[name], mix))
