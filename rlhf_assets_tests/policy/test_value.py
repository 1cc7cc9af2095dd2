import pytest
import torch

from rlhf_assets.policy.value import ValueHead, explained_variance, warm_up


def test_explained_variance_worked_by_hand():
    returns = torch.tensor([0.0, 2.0])
    assert explained_variance(returns + 5, returns) == pytest.approx(1)  # a constant is the policy gradient's business
    assert explained_variance(torch.zeros(2), returns) == pytest.approx(0)
    assert explained_variance(torch.tensor([2.0, 0.0]), returns) == pytest.approx(-3)


def test_warm_up_teaches_the_head_what_the_states_say():
    draws = torch.Generator().manual_seed(0)
    head = ValueHead(8, draws)
    states = torch.randn(2_000, 8, generator=draws)
    returns = states @ torch.arange(8.0) / 8 + 1
    before = explained_variance(head(states).detach(), returns)
    warm_up(head, states, returns, shrinkage=0.01)
    assert explained_variance(head(states).detach(), returns) > 0.95 > before
