"""Votes whose score a tiny model can learn: the share of kind words in the answer."""

import numpy as np
import pandas as pd

KIND, UNKIND = ("good", "great", "useful", "clear"), ("bad", "poor", "useless", "vague")


def votes(rows: int, seed: int = 0) -> pd.DataFrame:
    """A frame as training and evaluation take it; one vote in three is on a step."""
    draw = np.random.default_rng(seed)
    made = []
    for i in range(rows):
        words = int(draw.integers(1, 9))
        kind = int(draw.integers(0, words + 1))
        answer = [*draw.choice(KIND, kind), *draw.choice(UNKIND, words - kind)]
        made.append(
            {
                "query": f"How do I find a job in solar near {i // 4}?",
                "context": "[]",
                "steps_before": "[]" if i % 3 else '["Ask your utility."]',
                "response": " ".join(draw.permutation(answer)),
                "score": round(4 * kind / words) / 4,
                "kind": "message" if i % 3 else "step",
                "segment": ("worker", "student", None)[i % 5 % 3],
                "is_thumb": kind in (0, words) and i % 2 == 0,
                "user_id": f"user {i % 7}",
                "week": ("2026-11-08", "2026-11-15")[i % 2],
            }
        )
    return pd.DataFrame(made)
