"""Pictures of a policy's training and of its comparison with others, as PNG bytes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from rlhf_assets.plots import png

PANELS = {
    "score": "reward model's score",
    "kl": "KL to SFT (nats a reply)",
    "length": "tokens a reply",
    "stop_rate": "share that stopped",
}


def training_history(history: Sequence[Mapping[str, float | None]]) -> bytes:
    """Score, KL, length and stop rate by update; `history` as train_ppo returns it."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        values = np.array([row[name] for row in history], float)  # None becomes NaN, which is not drawn
        axes.plot(range(1, len(values) + 1), values, marker="o")
        axes.set(xlabel="update", ylabel=label)
    return png(figure)


def win_rates(pairs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> bytes:
    """Each pair's win rate by each scorer with its interval, against one half; as evaluate_policies returns them."""
    figure = Figure(figsize=(9, 1.5 + 0.4 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    scorers = sorted({scorer for by_scorer in pairs.values() for scorer in by_scorer})
    for rank, scorer in enumerate(scorers):
        shown = [by_scorer[scorer] for by_scorer in pairs.values()]
        values = np.array([[row["low"], row["value"], row["high"]] for row in shown], float)
        heights = np.arange(len(pairs)) + 0.2 * (rank - (len(scorers) - 1) / 2)
        errors = [values[:, 1] - values[:, 0], values[:, 2] - values[:, 1]]
        axes.errorbar(values[:, 1], heights, xerr=errors, fmt="o", capsize=3, label=scorer)
    axes.axvline(0.5, color="grey", linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1), xlabel="win rate with 95 % interval", yticks=range(len(pairs)))
    axes.set_yticklabels([pair.replace("_", " ") for pair in pairs])
    axes.legend()
    return png(figure)
