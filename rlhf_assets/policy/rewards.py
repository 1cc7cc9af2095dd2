"""From a score of a reply's text to a reward on each of its tokens."""

from dataclasses import dataclass

import numpy as np
import torch

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.kl import k1

SMALLEST_DEVIATION = 1e-6  # below it the scores say nothing


def check_scores(scores: np.ndarray, replies: int) -> np.ndarray:
    """The scores as float64 (replies,); RlhfError unless there is a finite one for each reply."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (replies,):
        raise RlhfError(f"the reward model gave scores of shape {scores.shape} for {replies} replies; it owes one each")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise RlhfError(f"the reward model gave NaN or infinity for {bad} of {replies} replies; train it again")
    return scores


@dataclass
class RewardScale:
    """Centres scores by the reference policy's mean and divides by a deviation; counts, mean and squares are running.

    `gain` and `bias` are those of the reference samples: reward = gain * score + bias has mean 0 and variance 1 there.
    """

    gain: float
    bias: float
    clip: float
    running: bool
    count: int
    mean: float
    squares: float

    @classmethod
    def from_reference(cls, scores: np.ndarray, clip: float, running: bool) -> "RewardScale":
        """Fit to scores (replies,) of the reference policy's replies; RlhfError when they are all alike."""
        deviation = float(scores.std())
        if deviation < SMALLEST_DEVIATION:
            raise RlhfError(
                f"the reward model gives all {len(scores)} replies of the SFT policy the same score {scores[0]:.4g}; "
                "PPO has nothing to learn from it, look at its evaluation"
            )
        mean = float(scores.mean())
        return cls(1 / deviation, -mean / deviation, clip, running, len(scores), mean, deviation**2 * len(scores))

    def observe(self, scores: np.ndarray) -> None:
        """Merge scores (replies,) into the running moments (Chan 1979)."""
        count = self.count + len(scores)
        shift = float(scores.mean()) - self.mean
        self.squares += float(scores.var()) * len(scores) + shift**2 * self.count * len(scores) / count
        self.mean += shift * len(scores) / count
        self.count = count

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Rewards (replies,) of scores (replies,), in deviations, clipped; 0 is always the reference policy's mean."""
        rewards = self.gain * scores + self.bias
        if self.running:
            rewards = rewards / (self.gain * np.sqrt(self.squares / self.count))
        return np.clip(rewards, -self.clip, self.clip)


def missing_stop(stopped: torch.Tensor, penalty: float) -> torch.Tensor:
    """What each reply loses for never having drawn a stop token; stopped (rows,) bool. Returns (rows,)."""
    return (~stopped).float() * penalty


def overlong(lengths: torch.Tensor, limit: int, soft_tokens: int, penalty: float) -> torch.Tensor:
    """Soft penalty for over-long replies (DAPO 2025, eq. 13): 0 up to limit - soft_tokens, then rising to `penalty`.

    lengths: (rows,) tokens. Returns (rows,).
    """
    if soft_tokens == 0:
        return torch.zeros(lengths.shape)
    return ((lengths - (limit - soft_tokens)) / soft_tokens).clamp(0, 1) * penalty


def token_rewards(
    outcome: torch.Tensor, log_ratio: torch.Tensor, mask: torch.Tensor, kl_coefficient: float
) -> torch.Tensor:
    """Each token pays for its KL; the outcome lands once, on the reply's last token.

    outcome: (rows,); log_ratio: (rows, tokens) of policy to reference; mask: (rows, tokens) bool, True on response
    tokens, at least one a row. Returns (rows, tokens), 0 on padding.
    """
    rewards = -kl_coefficient * k1(log_ratio) * mask
    last = mask.sum(1) - 1
    rewards[torch.arange(len(rewards)), last] += outcome
    return rewards
