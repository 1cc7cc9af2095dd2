"""Whether a reward model likes answers for their length: PPO would find that out and write long ones."""

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.reward.evaluation import SAMPLES, figure, mse, pair_accuracy, pairs, spearman


def length_figures(predicted: np.ndarray, test: pd.DataFrame, seen: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """How predictions (n,) of the votes `test` hang on the answers' length in characters, and what length alone gives.

    correlation_of_score, correlation_of_ratings: Spearman with length, on whole answers where there are any; excess:
    the former less the latter. A good model may show some: its score has no raters' noise, which weakens the ratings'
    correlation. questions: how many these three are on. rule: what `length_rule` says, fitted on the votes `seen`: its
    mse and pair_accuracy on `test`; mse_ratio: the model's MSE to the rule's on the same rows.
    """
    answers = (test["kind"] == "message").to_numpy()
    rows = np.flatnonzero(answers) if answers.any() else np.arange(len(test))
    given, query = test["score"].to_numpy(np.float64), test["query"].to_numpy()
    characters, rule = test["response"].str.len().to_numpy(np.float64), length_rule(seen, test)
    said, asked, long = predicted[rows], given[rows], characters[rows]
    some = partial(figure, groups=query[rows], seed=seed, samples=SAMPLES)
    every = partial(figure, groups=query, seed=seed, samples=SAMPLES)
    return {
        "correlation_of_score": some(spearman, said, long),
        "correlation_of_ratings": some(spearman, asked, long),
        "excess": some(excess, said, asked, long),
        "questions": len(np.unique(query[rows])),
        "mse_ratio": every(mse_ratio, predicted, rule, given),
        "rule": {
            "mse": every(mse, rule, given),
            "pair_accuracy": pair_accuracy(pairs(rule, test), seed, SAMPLES),
        },
    }


def length_rule(seen: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """What length alone says of the answers of `test` (n,): the parabola in log length fitted on `seen`, one a kind.

    A parabola, since answers can be too long as well as too short; beyond the lengths seen it goes on as at their ends.
    """
    said = np.full(len(test), seen["score"].mean())
    for kind, rows in seen.groupby("kind"):
        known, of_kind = log_length(rows), (test["kind"] == kind).to_numpy()
        asked = np.clip(log_length(test[of_kind]), known.min(), known.max())
        degree = min(2, len(np.unique(known)) - 1)
        said[of_kind] = np.polyval(np.polyfit(known, rows["score"].to_numpy(np.float64), degree), asked)
    return said


def log_length(votes: pd.DataFrame) -> np.ndarray:
    return np.log1p(votes["response"].str.len().to_numpy(np.float64))


def excess(predicted: np.ndarray, given: np.ndarray, characters: np.ndarray) -> float:
    return spearman(predicted, characters) - spearman(given, characters)


def mse_ratio(predicted: np.ndarray, rule: np.ndarray, given: np.ndarray) -> float:
    of_rule = mse(rule, given)
    return mse(predicted, given) / of_rule if of_rule > 0 else math.nan
