import math

import torch
from torch.testing import assert_close

from rlhf_assets.policy.losses import policy_loss, value_loss


def test_policy_loss_worked_by_hand():
    """Ratios 1, 1.5, 1.5, 0.5 with clip 0.2: a gain is held at 1.2, a loss never is."""
    ratio = torch.tensor([1.0, 1.5, 1.5, 0.5])
    loss, sums = policy_loss(ratio.log(), torch.zeros(4), torch.tensor([2.0, 1.0, -1.0, 1.0]), 0.2)
    assert_close(loss, torch.tensor(-2.0 - 1.2 + 1.5 - 0.5))
    assert sums["clipped"] == 1
    assert_close(sums["ratio"], ratio.sum())
    assert_close(sums["ratio_squared"], (ratio**2).sum())
    assert_close(sums["approximate_kl"], (ratio - 1 - ratio.log()).sum())


def test_a_clipped_token_gives_no_gradient():
    log_probs = torch.tensor([math.log(1.5), math.log(1.1)], requires_grad=True)
    policy_loss(log_probs, torch.zeros(2), torch.ones(2), 0.2)[0].backward()
    assert_close(log_probs.grad, torch.tensor([0.0, -1.1]))


def test_value_loss_worked_by_hand():
    """The return is 1. From 0 to 0.5, clipped to 0.2: error 0.8; from 0 to 0.1, not clipped: error 0.9."""
    loss, clipped = value_loss(torch.tensor([0.5, 0.1]), torch.zeros(2), torch.ones(2), 0.2)
    assert_close(loss, torch.tensor(0.5 * (0.64 + 0.81)))
    assert clipped == 1
