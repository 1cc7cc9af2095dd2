import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.testing import assert_close

from rlhf_assets.policy.value import ValueHead, catch_up, explained_variance, states_of, warm_up


def test_explained_variance_worked_by_hand():
    returns = torch.tensor([0.0, 2.0])
    assert explained_variance(returns + 5, returns) == pytest.approx(1)  # a constant is the policy gradient's business
    assert explained_variance(torch.zeros(2), returns) == pytest.approx(0)
    assert explained_variance(torch.tensor([2.0, 0.0]), returns) == pytest.approx(-3)


def test_a_state_is_the_mean_of_its_own_reply_so_far():
    hidden = torch.tensor([[2.0], [4.0], [9.0], [1.0], [2.0], [3.0]])
    states = states_of(hidden, torch.arange(6.0), [3, 1, 2])
    assert_close(states, torch.tensor([[2.0, 0.0], [3.0, 1.0], [5.0, 2.0], [1.0, 3.0], [2.0, 4.0], [2.5, 5.0]]))


def test_warm_up_teaches_the_head_what_the_states_say():
    draws = torch.Generator().manual_seed(0)
    head = ValueHead(8, draws)
    states = torch.randn(2_000, 9, generator=draws)
    returns = states @ torch.arange(9.0) / 8 + 1
    before = explained_variance(head(states).detach(), returns)
    warm_up(head, states, returns, shrinkage=0.01)
    assert explained_variance(head(states).detach(), returns) > 0.95 > before


def test_catching_up_adds_what_the_head_leaves_over():
    """As where the reward has risen by two since: all at once, and nothing where nothing is left."""
    draws = torch.Generator().manual_seed(0)
    head = ValueHead(8, draws)
    states = torch.randn(2_000, 9, generator=draws)
    returns = head(states).detach() + 2
    weight = head.weight.detach().clone()
    catch_up(head, states, returns, shrinkage=3.0)
    assert_close(head(states).detach(), returns)
    assert_close(head.weight.detach(), weight)


def test_inputs_that_are_all_alike_get_no_weight():
    head = ValueHead(2, torch.Generator().manual_seed(0))
    states = torch.tensor([[1.0, 5.0, 0.0], [2.0, 5.0, 0.0], [3.0, 5.0, 0.0]])
    warm_up(head, states, torch.tensor([1.0, 2.0, 3.0]), shrinkage=1e-6)
    assert_close(head.weight.detach(), torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-4, rtol=0)


def test_warm_up_shrinks_all_but_what_steps_were_paid():
    draws = torch.Generator().manual_seed(0)
    head = ValueHead(8, draws)
    states = torch.randn(2_000, 9, generator=draws)
    warm_up(head, states, states.sum(1), shrinkage=3.0)
    assert_close(head.weight[0], torch.tensor([0.25] * 8 + [1.0]), atol=0.05, rtol=0)


def test_the_fit_works_on_a_device_without_float64():
    """By shapes, types and devices alone, which is all that a machine without one can ask."""
    mode = FakeTensorMode()

    def fake(*shape: int, device: str = "mps") -> torch.Tensor:
        return FakeTensor(mode, torch.empty(shape, device="meta"), torch.device(device))

    head = ValueHead(4, torch.Generator().manual_seed(0))
    head.weight, head.bias = torch.nn.Parameter(fake(1, 5)), torch.nn.Parameter(fake(1))
    with mode:
        catch_up(head, fake(9, 5), fake(9, device="cpu"), shrinkage=3.0)
