"""How good a reward model is on votes it never saw: figures with their intervals, plain floats for a card."""

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from rlhf_assets.statistics import bootstrap

Figure = dict[str, float | int | None]  # value, low, high (None where undefined) and n, the rows or pairs behind it
SAMPLES = 1000
SLICE_SAMPLES = 400  # by kind and segment: many of them, and a rough interval will do


def evaluate_reward(predicted: np.ndarray, test: pd.DataFrame, mean_of_train: float, seed: int = 0) -> dict[str, Any]:
    """Figures of `predicted` (n,) on the rows of `test` (query, context, response, score, kind, segment).

    questions, how many different ones; mse; mse_of_mean, that of always saying `mean_of_train`; mse_ratio of the two;
    spearman; pair_accuracy on whole answers to one question whose mean ratings differ (a tie in prediction is half
    right); by_kind and by_segment {name: {mse, mse_ratio, spearman, pair_accuracy}}. Each has a 95 % bootstrap interval
    over questions; what a set of rows cannot tell (no pairs, constant scores) is None.
    """
    given = test["score"].to_numpy(np.float64)
    predicted = np.asarray(predicted, np.float64)
    query = test["query"].to_numpy()

    def errors(rows: np.ndarray, samples: int) -> dict[str, Figure]:
        arrays = predicted[rows], given[rows]
        right, asked = pairs(predicted[rows], test.iloc[rows])
        return {
            "mse": figure(mse, *arrays, groups=query[rows], seed=seed, samples=samples),
            "mse_ratio": figure(ratio_to(mean_of_train), *arrays, groups=query[rows], seed=seed, samples=samples),
            "spearman": figure(spearman, *arrays, groups=query[rows], seed=seed, samples=samples),
            "pair_accuracy": figure(mean, right, groups=asked, seed=seed, samples=samples),
        }

    everything = np.arange(len(test))
    return {
        "questions": int(test["query"].nunique()),
        **errors(everything, SAMPLES),
        "mse_of_mean": figure(mse, np.full(len(given), mean_of_train), given, groups=query, seed=seed, samples=SAMPLES),
        "by_kind": {name: errors(rows, SLICE_SAMPLES) for name, rows in slices(test["kind"])},
        "by_segment": {name: errors(rows, SLICE_SAMPLES) for name, rows in slices(test["segment"])},
    }


def figure(statistic: Callable[..., float], *arrays: np.ndarray, groups: np.ndarray, seed: int, samples: int) -> Figure:
    """`statistic` with its interval, or None for all three where it is undefined or not finite."""
    n = len(groups)
    if n == 0 or not math.isfinite(statistic(*arrays)):
        return {"value": None, "low": None, "high": None, "n": n}
    return {**bootstrap(statistic, *arrays, groups=groups, seed=seed, samples=samples).as_dict(), "n": n}


def mean(values: np.ndarray) -> float:
    return float(np.mean(values))


def mse(predicted: np.ndarray, given: np.ndarray) -> float:
    return float(np.mean((predicted - given) ** 2))


def ratio_to(constant: float) -> Callable[[np.ndarray, np.ndarray], float]:
    """The statistic mse(predicted) / mse(constant); NaN where the constant makes no error."""

    def ratio(predicted: np.ndarray, given: np.ndarray) -> float:
        of_constant = float(np.mean((constant - given) ** 2))
        return mse(predicted, given) / of_constant if of_constant > 0 else math.nan

    return ratio


def spearman(left: np.ndarray, right: np.ndarray) -> float:
    """Correlation of ranks, ties at their mean rank; NaN for a constant side."""
    ranks = rankdata(left), rankdata(right)
    centred = [rank - rank.mean() for rank in ranks]
    length = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / length if length > 0 else math.nan


def pairs(predicted: np.ndarray, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each pair of answers to one question in one chat state with different mean ratings: 1, 0 or, for equal
    predictions, 0.5; and its question, by which the pairs belong together."""
    rows = test.assign(predicted=predicted)[test["kind"] == "message"]
    answers = rows.groupby(["query", "context", "response"])[["score", "predicted"]].mean().reset_index()
    right, asked = [], []
    for (query, _), answer in answers.groupby(["query", "context"]):
        for one, other in combinations(answer[["score", "predicted"]].to_numpy(), 2):
            if one[0] != other[0]:
                right.append((np.sign(one[0] - other[0]) * np.sign(one[1] - other[1]) + 1) / 2)
                asked.append(query)
    return np.array(right), np.array(asked)


def slices(labels: pd.Series) -> list[tuple[str, np.ndarray]]:
    """Row numbers by label, sorted; rows without one are in no slice."""
    return [(name, np.flatnonzero(labels == name)) for name in sorted(labels.dropna().unique())]
