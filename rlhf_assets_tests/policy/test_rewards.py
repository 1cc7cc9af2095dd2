import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.rewards import RewardScale, check_scores, missing_stop, overlong, token_rewards


def test_scale_has_mean_zero_and_variance_one_on_the_reference_samples():
    scores = np.array([0.2, 0.4, 0.4, 0.6])
    scale = RewardScale.from_reference(scores, clip=5, running=True)
    assert scale.gain == pytest.approx(1 / np.sqrt(0.02))
    assert scale(scores).mean() == pytest.approx(0, abs=1e-12)
    assert scale(scores).std() == pytest.approx(1)


def test_running_deviation_is_that_of_all_scores_seen_and_zero_stays_zero():
    first, later = np.array([0.0, 1.0]), np.array([4.0, 5.0, 6.0])
    scale = RewardScale.from_reference(first, clip=50, running=True)
    scale.observe(later)
    deviation = np.concatenate([first, later]).std()
    assert scale(np.array([0.5, 0.5 + deviation])) == pytest.approx([0, 1])
    fixed = RewardScale.from_reference(first, clip=50, running=False)
    fixed.observe(later)
    assert fixed(np.array([0.5, 1.0])) == pytest.approx([0, 1])


def test_scaled_scores_are_clipped():
    scale = RewardScale.from_reference(np.array([0.0, 1.0]), clip=5, running=True)
    assert scale(np.array([100.0, -100.0])).tolist() == [5, -5]


def test_a_reward_that_is_always_the_same_is_refused():
    with pytest.raises(RlhfError, match="the same score"):
        RewardScale.from_reference(np.full(8, 0.5), clip=5, running=True)


@pytest.mark.parametrize("bad", [[0.1, np.nan], [0.1, np.inf], [0.1], [[0.1, 0.2]]])
def test_scores_must_be_one_finite_number_each(bad: list):
    with pytest.raises(RlhfError, match="reward model gave"):
        check_scores(np.array(bad), 2)


def test_penalties_worked_by_hand():
    assert missing_stop(torch.tensor([True, False]), 1.5).tolist() == [0, 1.5]
    assert overlong(torch.tensor([56, 58, 64]), limit=64, soft_tokens=8, penalty=0.5).tolist() == [0, 0.125, 0.5]
    assert overlong(torch.tensor([64]), limit=64, soft_tokens=0, penalty=0.5).tolist() == [0]


def test_token_rewards_worked_by_hand():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    log_ratio = torch.tensor([[1.0, -2.0, 99.0], [0.0, 0.0, 4.0]])
    rewards = token_rewards(torch.tensor([3.0, -1.0]), log_ratio, mask, 0.1)
    assert_close(rewards, torch.tensor([[-0.1, 3.2, 0.0], [0.0, 0.0, -1.4]]))
