"""How often a policy wins once both answers are equally long: raters, and models of raters, like length for itself.

The length-controlled win rate of AlpacaEval 2 (Dubois 2024, eq. 1) for one pair of policies on the same prompts, hence
without the terms for other models and for how hard a prompt is.
"""

import numpy as np
from scipy.special import expit

from rlhf_assets.statistics import Interval, bootstrap

SAMPLES = 1000
FARTHEST = 2.0  # deviations of the difference from its mean to 0; beyond, the regression tells wins by none of both
STEPS = 40  # Newton's, usually six; where every answer wins the intercept walks until its own penalty holds it
# of intercept and slope: a slope that no loss speaks against must stay finite; at 1 the slope is too flat, and of a
# policy that is better by length alone 160 prompts say 0.56 at equal length
SHRINKAGE = np.array([1e-6, 0.1])


def length_controlled_win_rate(
    ours: np.ndarray, theirs: np.ndarray, our_lengths: np.ndarray, their_lengths: np.ndarray, seed: int = 0
) -> Interval:
    """How often `ours` would score above `theirs` at equal length; all (n,), a tie counts one half.

    Lengths in characters, which mean the same for every vocabulary. Undefined (NaN) where hardly a pair is of equal
    length: a policy whose answers are all longer wins by that or by what it says, nobody can tell.
    """
    wins, longer = (ours > theirs) + 0.5 * (ours == theirs), our_lengths - their_lengths
    if np.isnan(value := wins_at_equal_length(wins, longer)):  # an interval of the few resamples that are defined lies
        return Interval(value, value, value)
    return bootstrap(wins_at_equal_length, wins, longer, seed=seed, samples=SAMPLES)


def wins_at_equal_length(wins: np.ndarray, longer: np.ndarray) -> float:
    """The share of wins that a logistic regression on tanh(difference / its deviation) predicts at difference 0.

    wins (n,): 1, 0 or 1/2; longer (n,): our length less theirs. NaN where 0 lies FARTHEST from what was seen.
    """
    deviation = longer.std()
    if abs(longer.mean()) > FARTHEST * deviation:
        return float("nan")
    difference = np.tanh(longer / deviation) if deviation > 0 else np.zeros(len(wins))
    known = np.stack([np.ones(len(wins)), difference], axis=1)
    weights = np.zeros(2)
    for _ in range(STEPS):
        expected = expit(known @ weights)
        gradient = known.T @ (wins - expected) - SHRINKAGE * weights
        curvature = (known * (expected * (1 - expected))[:, None]).T @ known + np.diag(SHRINKAGE)
        step = np.clip(np.linalg.solve(curvature, gradient), -2, 2)  # far out the curvature is too flat to be believed
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return float(expit(weights[0]))
