"""Answers and figures as a comparison has them, good unless a test says otherwise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlhf_assets.policy.comparison import Answers

WORDS = (
    "solar heat wind city old farm home ask local compare three offers read permit rules look state grant wait days "
    "before you decide panels pumps buses houses soils batteries installer roof utility loan audit class union pay bus"
)


def advice(number: int) -> str:
    """An answer that nothing is wrong with; ever another one."""
    return " ".join(np.random.default_rng(number).permutation(WORDS.split())[:14])


def planted_answers(
    n: int,
    texts: Sequence[str] | None = None,
    lengths: np.ndarray | None = None,
    stopped: np.ndarray | None = None,
    kl: float = 5.0,
    language: dict[str, float] | None = None,
    **scores: np.ndarray,
) -> Answers:
    """Answers to n prompts; without `judge` it gives all of them the same."""
    return Answers(
        texts if texts is not None else [advice(i) for i in range(n)],
        np.full(n, 20) if lengths is None else lengths,
        np.full(n, True) if stopped is None else stopped,
        np.full(n, kl),
        {"judge": np.zeros(n), **scores},
        {"perplexity": 20.0, "nats_per_character": 0.8, "questions_right": 0.75, **(language or {})},
    )


def good_figures(incumbent: str = "sft") -> dict[str, Any]:
    """What a comparison says of a policy that the gate lets through; gold, whom nobody asks, says the opposite."""
    better, worse = ({"value": value, "low": value - 0.06, "high": value + 0.06} for value in (0.6, 0.3))
    policy = {
        "length": 40.0,
        "stop_rate": 0.8,
        "repetition": 0.02,
        "faulty": 0.04,
        "loops": 0.04,
        "perplexity": 40.0,
        "questions_right": 0.7,
    }
    return {
        "prompts": 160,
        "policies": {name: {**policy, "kl": kl} for name, kl in (("sft", 0.0), (incumbent, 3.0), ("ppo", 10.0))},
        "win_rates": {
            f"ppo_vs_{name}": {"judge": better, "length_controlled": better, "gold": worse}
            for name in ("sft", incumbent)
        },
        "by_kind": {
            f"ppo_vs_{name}": {"first question": {"judge": better, "n": 100}, "follow-up": {"judge": worse, "n": 19}}
            for name in ("sft", incumbent)
        },
    }
