"""Distance of the policy from another one, per sampled token, and the price paid for it.

Estimators after John Schulman, "Approximating KL divergence" (2020); tokens are sampled from the policy.
"""

import torch

LOG_RATIO_LIMIT = 10.0  # one token that the reference rules out must not outweigh a whole reply


def log_ratio(log_probs: torch.Tensor, reference_log_probs: torch.Tensor) -> torch.Tensor:
    """log policy - log reference, nats, clamped to +-10; shapes alike."""
    return (log_probs - reference_log_probs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def k1(log_ratio: torch.Tensor) -> torch.Tensor:
    """Unbiased estimate of KL(policy || other) from log policy - log other, elementwise; may be negative."""
    return log_ratio


def k3(log_ratio: torch.Tensor) -> torch.Tensor:
    """Unbiased estimate with less variance, never negative: r - 1 - log r with r = other / policy; elementwise."""
    return torch.expm1(-log_ratio) + log_ratio


def adapt_coefficient(coefficient: float, kl: float, target: float, replies: int, horizon: int) -> float:
    """Raise the price above the target and lower it below (Ziegler 2019, sec. 2.2); both in nats a reply."""
    error = min(max(kl / target - 1, -0.2), 0.2)
    return coefficient * (1 + error * replies / horizon)
