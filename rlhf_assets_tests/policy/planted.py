"""Answers and figures as a comparison has them, good unless a test says otherwise."""

from collections.abc import Sequence

import numpy as np

from rlhf_assets.policy.comparison import Answers

SUBJECTS = ("solar panels", "heat pumps", "wind farms", "city buses", "old houses", "farm soils", "home batteries")
ADVICE = ("ask a local installer", "compare three offers", "read the permit rules", "look for a state grant")


def advice(number: int) -> str:
    """An answer that nothing is wrong with; ever another one."""
    return f"For {SUBJECTS[number % 7]} first {ADVICE[number % 4]}, then wait {number} days before you decide."


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
