"""From token rewards to advantages: generalised advantage estimation and masked whitening.

Rows are replies, columns their tokens; padding stands at the right and is masked out of everything.
"""

import torch


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, discount: float, gae_lambda: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised advantage estimation (Schulman 2016, eq. 16) over response tokens only.

    rewards, values: (rows, tokens); mask: (rows, tokens) bool, True on response tokens, which come first in a row.
    Nothing follows a reply's last token: its next value is 0, whether it stopped or was cut.
    Returns advantages and returns (advantage + value), both (rows, tokens), 0 on padding.
    """
    rewards, values = rewards * mask, values * mask  # so that padding holds no surprise
    advantages = torch.zeros_like(rewards)
    following_value = torch.zeros_like(rewards[:, 0])
    following_advantage = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        surprise = rewards[:, t] + discount * following_value - values[:, t]
        following_advantage = surprise + discount * gae_lambda * following_advantage
        following_value = values[:, t]
        advantages[:, t] = following_advantage
    return advantages, (advantages + values) * mask


def masked_mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `x` where `mask` is True; both of one shape. Returns a scalar."""
    return (x * mask).sum() / mask.sum()


def whiten(x: torch.Tensor, mask: torch.Tensor, keep_mean: bool) -> torch.Tensor:
    """Scale `x` to variance 1 where `mask` is True; its mean becomes 0 or, with `keep_mean`, stays what it was.

    x, mask: one shape. Advantages lose their mean, rewards keep it: shifting token rewards would pay for length.
    Returns the shape of `x`, 0 where masked.
    """
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean) ** 2, mask)
    whitened = (x - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened + mean if keep_mean else whitened) * mask
