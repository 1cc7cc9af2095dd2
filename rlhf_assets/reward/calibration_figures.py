"""Whether a prediction means what it says: of the answers that it calls 0.7, people give 0.7 on average."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from rlhf_assets.reward.evaluation import SAMPLES, SLICE_SAMPLES, Figure, figure, mean

BINS = 10
VOTES_A_BIN = 50  # of fewer, a bin's mean rating is off by more than 0.05 by chance alone
SURE = 0.01  # a reward of 0 or 1 is no certainty that a thumb goes down or up


def calibration(predicted: np.ndarray, test: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """{ece, bins} of predictions (n,) against the ratings of `test` (score, query), both in [0, 1].

    ece is the expected calibration error (Naeini, Cooper and Hauskrecht 2015) over bins that hold equally many votes,
    as far as equal predictions allow; bins, from the lowest prediction up, are {predicted, given}, given with its
    interval. No bins where a prediction is not finite.
    """
    given, query = test["score"].to_numpy(np.float64), test["query"].to_numpy()
    which = bins(predicted)
    each = [np.flatnonzero(which == number) for number in np.unique(which)] if np.isfinite(predicted).all() else []
    return {
        "ece": figure(ece, which, predicted, given, groups=query, seed=seed, samples=SAMPLES),
        "bins": [
            {
                "predicted": float(predicted[rows].mean()),
                "given": figure(mean, given[rows], groups=query[rows], seed=seed, samples=SLICE_SAMPLES),
            }
            for rows in each
        ],
    }


def bins(predicted: np.ndarray) -> np.ndarray:
    """The bin of each prediction (n,): up to BINS quantile bins; equal predictions share one."""
    number = max(1, min(BINS, len(predicted) // VOTES_A_BIN))
    edges = np.quantile(predicted, np.arange(1, number) / number) if number > 1 else np.empty(0)
    return np.searchsorted(edges, predicted, side="right")


def ece(which: np.ndarray, predicted: np.ndarray, given: np.ndarray) -> float:
    """The mean over rows of their bin's distance between mean prediction and mean rating; all arrays (n,)."""
    return float(np.abs(np.bincount(which, given - predicted)).sum() / len(given))


def thumbs(
    fitted_on: tuple[np.ndarray, np.ndarray], predicted: np.ndarray, test: pd.DataFrame, seed: int = 0
) -> dict[str, Any]:
    """{votes, temperature, bias, ece_before, ece_after}: the prediction read as the chance of a thumb up.

    Platt's logistic (1999), P(up) = sigmoid(logit(prediction) / temperature + bias), is fitted on the predictions and
    thumbs (1 up, 0 down) of validation votes, `fitted_on`, and tried on the thumbs of `test`. A temperature below 1
    says that thumbs are surer than the prediction. None where validation has thumbs of one kind only, or a model that
    orders them wrongly.
    """
    rows = test["is_thumb"].to_numpy(bool)
    up, query, before = test["score"].to_numpy(np.float64)[rows], test["query"].to_numpy()[rows], predicted[rows]
    fitted = fit_thumbs(*fitted_on)

    def error(chance: np.ndarray) -> Figure:
        return figure(ece, bins(chance), chance, up, groups=query, seed=seed, samples=SLICE_SAMPLES)

    figures = {"votes": len(up), "temperature": None, "bias": None, "ece_before": error(before), "ece_after": None}
    if fitted is None:
        return figures
    slope, bias = fitted
    after = 1 / (1 + np.exp(-(slope * logit(before) + bias)))
    return {**figures, "temperature": 1 / slope, "bias": bias, "ece_after": error(after)}


def fit_thumbs(predicted: np.ndarray, up: np.ndarray) -> tuple[float, float] | None:
    """Slope and bias of the logistic, the slope above 0; None where there is none. The library's mild L2 penalty keeps
    the slope finite where a few votes are separable."""
    if len(np.unique(up)) < 2 or not np.isfinite(predicted).all():
        return None
    line = LogisticRegression().fit(logit(predicted)[:, None], up > 0.5)
    slope, bias = float(line.coef_[0, 0]), float(line.intercept_[0])
    return (slope, bias) if slope > 1e-6 else None


def logit(chance: np.ndarray) -> np.ndarray:
    sure = np.clip(chance, SURE, 1 - SURE)
    return np.log(sure / (1 - sure))
