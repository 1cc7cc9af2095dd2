"""How good a reward model is on votes it never saw: figures with their intervals, plain floats for a card."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from rlhf_assets.feedback.audit import NAMES, shown
from rlhf_assets.feedback.split import CHAT
from rlhf_assets.statistics import bootstrap

Figure = dict[str, float | int | None]  # value, low, high (None where undefined) and n, the rows or pairs behind it
SAMPLES = 1000
SLICE_SAMPLES = 400  # by kind, segment, week: many of them, and a rough interval will do
MARGINS = {"up to 1 point": (0.0, 0.25), "1 to 2 points": (0.25, 0.5), "over 2 points": (0.5, 1.0)}  # in scores


def evaluate_reward(predicted: np.ndarray, test: pd.DataFrame, mean_of_train: float, seed: int = 0) -> dict[str, Any]:
    """Figures of `predicted` (n,) on `test` (query, context, response, score, is_thumb, kind, segment, week).

    questions, how many different ones; mse; mse_of_mean, that of always saying `mean_of_train`; mse_ratio of the two;
    spearman; pair_accuracy on whole answers to one question whose mean ratings differ (see `pairs`), also by_margin of
    these ratings in points of 1 to 5; by_kind, by_segment and by_week {name: {questions, mse, mse_ratio, spearman,
    pair_accuracy}}, of segments the most frequent and of weeks the newest. Each has a 95 % bootstrap interval over
    questions; what a set of rows cannot tell (no pairs, constant scores) is None.
    """
    given = test["score"].to_numpy(np.float64)
    predicted = np.asarray(predicted, np.float64)
    query = test["query"].to_numpy()

    def errors(rows: np.ndarray, samples: int) -> dict[str, Any]:
        arrays = predicted[rows], given[rows]
        compared = pairs(predicted[rows], test.iloc[rows])
        return {
            "questions": int(test["query"].iloc[rows].nunique()),
            "mse": figure(mse, *arrays, groups=query[rows], seed=seed, samples=samples),
            "mse_ratio": figure(ratio_to(mean_of_train), *arrays, groups=query[rows], seed=seed, samples=samples),
            "spearman": figure(spearman, *arrays, groups=query[rows], seed=seed, samples=samples),
            "pair_accuracy": pair_accuracy(compared, seed, samples),
        }

    frequent = test["segment"].value_counts().index[:NAMES]
    newest = sorted(test["week"].unique())[-NAMES:]
    cuts = {
        "by_kind": test["kind"],
        "by_segment": test["segment"].where(test["segment"].isin(frequent)),
        "by_week": test["week"].where(test["week"].isin(newest)),
    }
    compared = pairs(predicted, test)
    return {
        **errors(np.arange(len(test)), SAMPLES),
        "mean_of_train": mean_of_train,
        "mse_of_mean": figure(mse, np.full(len(given), mean_of_train), given, groups=query, seed=seed, samples=SAMPLES),
        "by_margin": {
            name: pair_accuracy(compared[compared["margin"].between(low, high, inclusive="right")], seed, SLICE_SAMPLES)
            for name, (low, high) in MARGINS.items()
        },
        **{
            cut: {name: errors(rows, SLICE_SAMPLES) for name, rows in slices(labels).items()}
            for cut, labels in cuts.items()
        },
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


def pairs(predicted: np.ndarray, test: pd.DataFrame) -> pd.DataFrame:
    """Each pair of whole answers to one question in one chat state with different mean ratings: its query, by which
    pairs belong together, the margin of the ratings, and right: 1, 0 or, for equal predictions, 0.5.

    Ratings are scores where both answers have some, else thumbs: a thumb up is not more than a 4.
    """
    rows = test.assign(predicted=predicted)[test["kind"] == "message"]
    answers = rows.groupby([*CHAT, "response", "is_thumb"])[["score", "predicted"]].mean().reset_index()
    both = answers.merge(answers, on=[*CHAT, "is_thumb"], suffixes=("", "_of_other"))
    both = both[both["response"] < both["response_of_other"]].sort_values("is_thumb", kind="stable")
    both = both.drop_duplicates([*CHAT, "response", "response_of_other"])
    both = both[both["score"] != both["score_of_other"]]
    margin, predicted_margin = (both[name] - both[f"{name}_of_other"] for name in ("score", "predicted"))
    right = (np.sign(margin) * np.sign(predicted_margin) + 1) / 2
    return pd.DataFrame({"query": both["query"], "margin": margin.abs(), "right": right})


def pair_accuracy(compared: pd.DataFrame, seed: int, samples: int) -> Figure:
    """The share of `pairs` that is right."""
    return figure(mean, compared["right"].to_numpy(), groups=compared["query"].to_numpy(), seed=seed, samples=samples)


def slices(labels: pd.Series) -> dict[str, np.ndarray]:
    """Row numbers by label as it may be shown, sorted, with a number where two look alike; rows without a label are in
    no slice."""
    found: dict[str, np.ndarray] = {}
    for name in sorted(labels.dropna().unique()):
        label, count = shown(name), 1
        while label in found:
            count += 1
            label = f"{shown(name)} ({count})"
        found[label] = np.flatnonzero(labels == name)
    return found
