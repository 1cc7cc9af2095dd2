"""What PPO logs of each round, and the asserts that hold before its first step."""

from collections.abc import Mapping

import torch

from rlhf_assets.compute import Compute
from rlhf_assets.policy.advantages import masked_mean
from rlhf_assets.policy.kl import k1, k3, log_ratio
from rlhf_assets.policy.rollouts import Assessment, Rollout
from rlhf_assets.policy.value import explained_variance

# Mean absolute difference of a token's log-probability between two passes of the same weights. fp32 differs by
# summation order alone; bf16 rounds logits near 20 to 1/8, and another padding or the cache rounds them otherwise.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}


def check_reference(rollout: Rollout, assessment: Assessment, compute: Compute) -> None:
    """Before any step the policy is the reference (KL 0) and the sampler drew from the distribution that learns.

    A RuntimeError is a bug: another temperature, padding, position, adapter or head than the learner's.
    """
    tolerance, mask = TOLERANCE[compute.precision], rollout.mask
    to_reference = masked_mean((assessment.log_probs - assessment.reference_log_probs).abs(), mask).item()
    sampled = torch.tensor([value for reply in rollout.replies for value in reply.log_probs])
    to_sampler = (sampled - assessment.log_probs[mask]).abs().mean().item()
    if not to_reference <= tolerance:
        raise RuntimeError(f"the untrained policy differs from its reference by {to_reference:.2g} nats a token")
    if not to_sampler <= tolerance:
        raise RuntimeError(f"the sampler differs from the learner by {to_sampler:.2g} nats a token")


def check_unmoved(step: dict[str, float], compute: Compute) -> None:
    """At the very first minibatch ratio = 1, KL from the old policy = 0, clip fraction = 0; RuntimeError if not."""
    tolerance = TOLERANCE[compute.precision]
    if not (abs(step["ratio_mean"] - 1) <= tolerance and step["approximate_kl"] <= tolerance):
        raise RuntimeError(f"ratio {step['ratio_mean']:.4g} before the first step; old log-probabilities are wrong")
    if not step["clip_fraction"] <= tolerance:
        raise RuntimeError(f"{step['clip_fraction']:.1%} of tokens clipped before the first step")


def round_figures(
    rollout: Rollout, assessment: Assessment, rewards: torch.Tensor, returns: torch.Tensor
) -> dict[str, float]:
    """A round before learning: score as given, reward and KL a reply (nats, two estimators), length in tokens.

    rewards, returns: (rows, tokens). Entropy is estimated by the mean surprise of the sampled tokens, nats a token.
    """
    mask = rollout.mask
    ratio = log_ratio(assessment.log_probs, assessment.reference_log_probs)
    return {
        "score": float(rollout.scores.mean()),
        "score_deviation": float(rollout.scores.std()),
        "reward": rewards.sum(1).mean().item(),
        "kl": (k1(ratio) * mask).sum(1).mean().item(),
        "kl_k3": (k3(ratio) * mask).sum(1).mean().item(),
        "entropy": -masked_mean(assessment.log_probs, mask).item(),
        "length": rollout.lengths.float().mean().item(),
        "stop_rate": rollout.stopped.float().mean().item(),
        "empty_rate": sum(not text for text in rollout.texts) / len(rollout.texts),
        "explained_variance": explained_variance(assessment.values[mask], returns[mask]),
    }


def step_figures(means: Mapping[str, float]) -> dict[str, float]:
    """A minibatch's figures from means over its tokens of what `policy_loss` and `value_loss` count."""
    return {
        "policy_loss": means["policy_loss"],
        "value_loss": means["value_loss"],
        "ratio_mean": means["ratio"],
        "ratio_variance": max(means["ratio_squared"] - means["ratio"] ** 2, 0.0),
        "clip_fraction": means["clipped"],
        "value_clip_fraction": means["value_clipped"],
        "approximate_kl": means["approximate_kl"],
    }


def describe(figures: dict[str, float]) -> str:
    """A round in one line."""
    f = figures
    return (
        f"score {f['score']:.3f}, kl {f['kl']:.2f}, entropy {f['entropy']:.2f}, length {f['length']:.0f}, "
        f"stopped {f['stop_rate']:.0%}, steps {f['steps']:.0f}, "
        f"ratio {f['ratio_mean']:.3f}±{f['ratio_variance'] ** 0.5:.3f}, "
        f"clipped {f['clip_fraction']:.1%}/{f['value_clip_fraction']:.1%}, "
        f"explained variance {f['explained_variance']:.2f}, {f['episodes_per_second']:.2f} episodes/s"
    )
