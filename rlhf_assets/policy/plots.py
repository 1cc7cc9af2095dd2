"""Pictures of a policy's training and of its comparison with others, as PNG bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlhf_assets.plots import png

PANELS = {
    "score": "reward model's score",
    "kl": "KL to SFT, nats a reply",
    "length": "tokens a reply",
    "stop_rate": "share that stopped",
}
COLUMNS = 3  # of the panels, side by side
SCORERS = {"length_controlled": "judge at equal length"}


def training_history(
    history: Sequence[Mapping[str, float | None]],
    judged: Sequence[Mapping[str, float]] = (),
    chosen_update: int | None = None,
) -> bytes:
    """Score, KL, length and stop rate after so many updates, and what the judge said; the chosen update is marked.

    `history`, `judged` and `chosen_update` as train_ppo returns them.
    """
    drawn: dict[str, tuple[list[float], list[float | None]]] = {}
    for name, label in PANELS.items():
        drawn[label] = [float(at) for at in range(len(history))], [row[name] for row in history]
    if judged:
        drawn["judge's score"] = [row["update"] for row in judged], [row["judge"] for row in judged]
    rows = -(-len(drawn) // COLUMNS)
    figure = Figure(figsize=(3.25 * COLUMNS, 2.2 * rows), layout="constrained")
    if chosen_update is not None:
        figure.suptitle("The dashed line is the update that the judge chose", fontsize="medium")
    grid = figure.subplots(rows, COLUMNS).ravel()
    for axes, (label, (updates, values)) in zip(grid, drawn.items(), strict=False):
        axes.plot(updates, np.array(values, float), marker="o")  # None becomes NaN, which is not drawn
        if chosen_update is not None:
            axes.axvline(chosen_update, linestyle="--", color="grey", linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="updates", ylabel=label, xlim=(-0.5, len(history) + 0.5))
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(drawn) :]:
        axes.remove()
    return png(figure)


def by_kind(kinds: Mapping[str, Mapping[str, Any]], title: str) -> bytes:
    """The judge's win rate on each kind of prompt with its interval, against one half; a pair of `by_kind`."""
    labels = [f"{kind} ({of['n']})" for kind, of in kinds.items()]
    return intervals(labels, {"judge": [of["judge"] for of in kinds.values()]}, title)


def win_rates(pairs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> bytes:
    """Each pair's win rate by each scorer with its interval, against one half; as evaluate_policies returns them."""
    scorers = sorted({scorer for by_scorer in pairs.values() for scorer in by_scorer})
    shown = {SCORERS.get(scorer, scorer): [of[scorer] for of in pairs.values()] for scorer in scorers}
    return intervals([pair.replace("_", " ") for pair in pairs], shown, "Win rates on held-out prompts")


def intervals(labels: Sequence[str], rates: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> bytes:
    """Win rates with their intervals, a line a label, the first one on top, and a colour to each of `rates`."""
    figure = Figure(figsize=(6.5, 1.5 + 0.4 * len(labels)), layout="constrained")
    axes = figure.subplots()
    for rank, (name, shown) in enumerate(rates.items()):
        values = np.array([[row["low"], row["value"], row["high"]] for row in shown], float)
        heights = np.arange(len(labels)) + 0.2 * (rank - (len(rates) - 1) / 2)
        errors = [values[:, 1] - values[:, 0], values[:, 2] - values[:, 1]]
        axes.errorbar(values[:, 1], heights, xerr=errors, fmt="o", capsize=3, label=name)
    axes.axvline(0.5, color="grey", linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1), xlabel="win rate with 95 % interval", title=title)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    if len(rates) > 1:
        axes.legend(frameon=False)
    return png(figure)
