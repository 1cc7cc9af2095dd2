"""How well any model could do: people who rate the same text differ, and nobody can foresee by how much."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.feedback.agreement import agreement
from rlhf_assets.reward.inputs import TEXTS


def noise_ceiling(votes: pd.DataFrame) -> dict[str, Any]:
    """From the votes on texts that several people rated: {alpha, spearman, mse, answers, people, votes}.

    alpha is Krippendorff's, the share of the ratings' variance that is the text's own. The expected rating of each
    text, the best there is to predict, correlates with single ratings by its root and misses them by an MSE of
    (1 - alpha) times their variance; for Spearman that is an approximation. None where nobody rated the same text.
    """
    found = agreement(
        pd.DataFrame(
            {
                "rater": votes["user_id"].fillna(pd.Series(votes.index.astype(str), votes.index)),
                "answer": pd.util.hash_pandas_object(votes[["kind", *TEXTS]], index=False),
                "score": votes["score"],
            }
        )
    )
    alpha = found["alpha"]
    if not isinstance(alpha, Mapping):
        return {**found, "spearman": None, "mse": None}
    variance = float(np.var(votes["score"]))
    low, high = alpha["low"], alpha["high"]
    return {
        **found,
        "spearman": {name: None if share is None else math.sqrt(max(0.0, share)) for name, share in alpha.items()},
        "mse": {
            name: None if share is None else (1 - share) * variance
            for name, share in (("value", alpha["value"]), ("low", high), ("high", low))
        },
    }
