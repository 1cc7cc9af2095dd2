import math

import pytest
import torch
from torch.testing import assert_close

from rlhf_assets.policy.kl import adapt_coefficient, k1, k3, log_ratio


def test_log_ratio_is_clamped_at_ten():
    assert_close(log_ratio(torch.tensor([-1.0, -1.0]), torch.tensor([-3.0, -50.0])), torch.tensor([2.0, 10.0]))


def test_estimators_worked_by_hand():
    ratio = torch.tensor([math.log(2.0), -math.log(2.0)])
    assert_close(k1(ratio), ratio)
    assert_close(k3(ratio), torch.tensor([0.5 - 1 + math.log(2), 2 - 1 - math.log(2)]))


def test_both_estimators_mean_the_exact_kl():
    """Over all outcomes of p = (3/4, 1/4) and q = (1/2, 1/2), weighted by p."""
    p, q = torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5])
    exact = (p * (p / q).log()).sum()
    ratio = (p / q).log()
    assert_close((p * k1(ratio)).sum(), exact)
    assert_close((p * k3(ratio)).sum(), exact)


def test_adaptive_coefficient_worked_by_hand():
    """Twice the target: the error of 1 counts as 0.2; 64 of 640 replies: a tenth of it, so 2 % more."""
    assert adapt_coefficient(0.05, 12, target=6, replies=64, horizon=640) == pytest.approx(0.05 * 1.02)
    assert adapt_coefficient(0.05, 0, target=6, replies=64, horizon=640) == pytest.approx(0.05 * 0.98)
    assert adapt_coefficient(0.05, 6.6, target=6, replies=64, horizon=640) == pytest.approx(0.05 * 1.01)
