import pytest
import torch
from torch.testing import assert_close

from rlhf_assets.policy.advantages import gae, masked_mean, whiten


def test_gae_worked_by_hand():
    """Two tokens, gamma 1, lambda 0.5: surprises are 0 + 0.4 - 0.2 and 1 - 0.4."""
    advantages, returns = gae(
        torch.tensor([[0.0, 1.0]]), torch.tensor([[0.2, 0.4]]), torch.tensor([[True, True]]), 1.0, 0.5
    )
    assert_close(advantages, torch.tensor([[0.2 + 0.5 * 0.6, 0.6]]))
    assert_close(returns, torch.tensor([[0.7, 1.0]]))


def test_lambda_one_is_the_reward_to_go():
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    _, returns = gae(rewards, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool), 1.0, 1.0)
    assert_close(returns, torch.tensor([[7.0, 6.0, 4.0]]))


def test_gae_never_looks_at_padding():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    rewards, values = torch.rand(2, 3), torch.rand(2, 3)
    clean, _ = gae(rewards, values, mask, 1.0, 0.95)
    rewards[0, 2] = values[0, 2] = 1e6
    advantages, returns = gae(rewards, values, mask, 1.0, 0.95)
    assert_close(advantages, clean)
    assert advantages[0, 2] == returns[0, 2] == 0


def test_masked_mean_and_whitening_worked_by_hand():
    x, mask = torch.tensor([1.0, 3.0, 100.0]), torch.tensor([True, True, False])
    assert masked_mean(x, mask) == 2
    assert_close(whiten(x, mask, keep_mean=False), torch.tensor([-1.0, 1.0, 0.0]))
    assert_close(whiten(x, mask, keep_mean=True), torch.tensor([1.0, 3.0, 0.0]))


def test_whitened_variance_is_one_whatever_it_was():
    x, mask = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 9 + 4, torch.ones(5, 7, dtype=torch.bool)
    whitened = whiten(x, mask, keep_mean=True)
    assert whitened.var(correction=0).item() == pytest.approx(1, rel=1e-4)
    assert whitened.mean().item() == pytest.approx(x.mean().item(), rel=1e-4)
