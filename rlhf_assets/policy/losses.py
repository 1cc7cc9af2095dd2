"""PPO's two losses as sums over tokens, so that a minibatch may be cut into micro-batches without changing the result.

Divide by the number of tokens in the minibatch. All tensors are (tokens,), response tokens alone.
"""

import torch

from rlhf_assets.policy.kl import k3


def policy_loss(
    log_probs: torch.Tensor, old_log_probs: torch.Tensor, advantages: torch.Tensor, clip: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Clipped surrogate (Schulman 2017, eq. 7), summed over tokens.

    Returns the loss, a scalar, and detached sums over tokens: `ratio`, `ratio_squared`, `clipped` (tokens whose clip
    holds the gradient back) and `approximate_kl` (k3 of new from old policy, nats).
    """
    log_ratio = log_probs - old_log_probs
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip)
    loss = torch.maximum(unclipped, clipped).sum()
    with torch.no_grad():
        sums = {
            "ratio": ratio.sum(),
            "ratio_squared": (ratio**2).sum(),
            "clipped": (clipped > unclipped).float().sum(),
            "approximate_kl": k3(-log_ratio).sum(),
        }
    return loss, sums


def value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Half the squared error, the larger of it and that of the value clipped around its old estimate, summed.

    Returns the loss and the number of tokens whose clip holds the gradient back, both scalars.
    """
    near_old = old_values + (values - old_values).clamp(-clip, clip)
    free, held = (values - returns) ** 2, (near_old - returns) ** 2
    return 0.5 * torch.maximum(free, held).sum(), (held > free).float().sum().detach()
