"""Whether an earlier model still understands what people ask and like now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rlhf_assets.compute import Compute
from rlhf_assets.reward.assessment import predictions
from rlhf_assets.reward.evaluation import evaluate_reward
from rlhf_assets.reward.scoring import RewardScorer

WATCHED = ("mse_ratio", "spearman")


def drift_figures(
    model: Path, figures: Mapping[str, Any], newest: pd.DataFrame, seed: int, compute: Compute
) -> dict[str, Any]:
    """An earlier model with these `figures` of its own test, on votes about questions that nobody knew at its time.

    {questions, mse_ratio: {then, now}, spearman: {then, now}}, the ratio to always saying the mean of what that model
    was trained on.
    """
    predicted = predictions(RewardScorer(model, compute), newest)
    now = evaluate_reward(predicted, newest, figures["mean_of_train"], seed)
    return {
        "questions": now["questions"],
        **{name: {"then": figures[name], "now": now[name]} for name in WATCHED},
    }


def drift_warnings(found: Mapping[str, Any]) -> list[str]:
    """Sentences where a figure is surely worse now: its interval and that of the model's own test do not meet."""
    error, order = found["mse_ratio"], found["spearman"]
    told = []
    if known(error) and error["now"]["low"] > error["then"]["high"]:
        told.append(f"its MSE rose from {share(error['then'])} to {share(error['now'])} of that of predicting the mean")
    if known(order) and order["now"]["high"] < order["then"]["low"]:
        told.append(f"its Spearman correlation fell from {share(order['then'])} to {share(order['now'])}")
    return told


def known(figure: Mapping[str, Mapping[str, float | None]]) -> bool:
    return all(figure[when]["value"] is not None for when in ("then", "now"))


def share(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"
