"""Pictures of a reward model as PNG bytes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlhf_assets.plots import png
from rlhf_assets.reward.calibration_figures import bins as quantile_bins

LEVELS = np.linspace(0, 1, 5)  # the five scores, normalised; thumbs are the outer two
SAID, GIVEN = "#1f5fa8", "#c2571a"


def pictures(
    figures: Mapping[str, Any], test: pd.DataFrame, history: list[dict[str, float | None]], best_epoch: int
) -> dict[str, bytes]:
    """All there is to draw, by title: `figures` of `assess_reward`, `test` with `predicted`; see training_history."""
    drawn = {"Training": training_history(history, best_epoch)}
    if len(test):
        predicted, given = test["predicted"].to_numpy(), test["score"].to_numpy()
        drawn["Predicted by score"] = predicted_by_score(predicted, given)
        if bins := figures["calibration"]["bins"]:
            drawn["Reliability"] = reliability(bins)
            drawn["Predicted and given"] = predicted_and_given(bins)
        drawn["Score and length"] = score_by_length(predicted, given, test["response"].str.len().to_numpy())
    if points := figures["learning_curve"]["points"]:
        drawn["Learning curve"] = learning_curve(points)
    if len(test):  # the tallest, so that it stands last
        drawn["Order by slice"] = order_by_slice(figures)
    return drawn


def reliability(bins: list[dict[str, Any]]) -> bytes:
    """The mean rating over the mean prediction of each bin of `calibration`; on the dashes they are the same."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
        with_intervals(axes, [of["predicted"] for of in bins], [of["given"] for of in bins])
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="score predicted", ylabel="mean score given, 95 % interval")
        axes.set_title("Reliability: does it mean what it says?")

    return picture(draw)


def predicted_and_given(bins: list[dict[str, Any]]) -> bytes:
    """Mean prediction and mean rating side by side, from the votes it says least of to those it says most of."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(bins))
        axes.bar(places - 0.2, [of["predicted"] for of in bins], 0.4, color=SAID, label="predicted")
        axes.bar(places + 0.2, [of["given"]["value"] for of in bins], 0.4, color=GIVEN, label="given")
        axes.set_xticks(places, [str(place + 1) for place in places])
        name = "decile" if len(bins) == 10 else "bin"
        axes.set(ylim=(0, 1), xlabel=f"{name} of the prediction", ylabel="mean score")
        axes.set_title("Predicted and given")
        axes.legend(frameon=False)

    return picture(draw)


def order_by_slice(figures: Mapping[str, Any]) -> bytes:
    """Spearman on all votes and by kind, segment and week, a line each, where it can be told."""
    named = {"all votes": figures} | {
        f"{cut} {name}": of for cut in ("kind", "segment", "week") for name, of in figures[f"by_{cut}"].items()
    }
    known = {name: of["spearman"] for name, of in named.items() if of["spearman"]["value"] is not None}

    def draw(axes: Axes) -> None:
        places = range(len(known))
        axes.plot([of["value"] for of in known.values()], places, "o", color=SAID)
        spans = [of["low"] for of in known.values()], [of["high"] for of in known.values()]
        axes.hlines(places, *spans, color=SAID, linewidth=4, alpha=0.3)
        axes.axvline(0, linestyle="--", color="grey", linewidth=1)
        axes.set_yticks(places, list(known), parse_math=False, fontsize=8)
        axes.set(xlabel="Spearman, 95 % interval", title="Order by slice")
        axes.invert_yaxis()

    return picture(draw, height=max(4.0, 1.2 + 0.25 * len(known)))


def score_by_length(predicted: np.ndarray, given: np.ndarray, characters: np.ndarray) -> bytes:
    """Mean prediction and mean rating of bins of votes from the shortest text to the longest; all arrays (n,)."""
    which = quantile_bins(characters)
    groups = [np.flatnonzero(which == number) for number in np.unique(which)]

    def draw(axes: Axes) -> None:
        long = [characters[rows].mean() for rows in groups]
        for values, label, colour in ((predicted, "predicted", SAID), (given, "given", GIVEN)):
            axes.plot(long, [values[rows].mean() for rows in groups], marker="o", color=colour, label=label)
        axes.set(ylim=(0, 1), xlabel="characters of the answer or step", ylabel="mean score", title="Score and length")
        axes.legend(frameon=False)

    return picture(draw)


def learning_curve(points: list[dict[str, Any]]) -> bytes:
    """Spearman over the number of questions learned from, as in `learning_curve`."""

    def draw(axes: Axes) -> None:
        known = [of for of in points if of["spearman"]["value"] is not None]
        with_intervals(axes, [of["questions"] for of in known], [of["spearman"] for of in known])
        axes.set_xscale("log", base=2)
        axes.set_xticks([of["questions"] for of in points], [str(of["questions"]) for of in points])
        axes.set(xlabel="questions learned from", ylabel="Spearman on test, 95 % interval")
        axes.set_title("Would more feedback help? (ridge on the base model)")

    return picture(draw)


def with_intervals(axes: Axes, x: list[float], figures: list[dict[str, float]]) -> None:
    axes.plot(x, [of["value"] for of in figures], marker="o", color=SAID)
    axes.vlines(x, [of["low"] for of in figures], [of["high"] for of in figures], color=SAID, linewidth=4, alpha=0.3)


def picture(draw: Callable[[Axes], None], height: float = 4.0) -> bytes:
    """One pair of axes as PNG, 6 inches wide and so high."""
    figure = Figure(figsize=(6, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    return png(figure)


def predicted_by_score(predicted: np.ndarray, given: np.ndarray) -> bytes:
    """Boxes of the predictions (n,) on votes of each given score (n,); a good model climbs along the dashes."""
    nearest = np.abs(given[:, None] - LEVELS).argmin(axis=1)
    filled = [level for level in range(len(LEVELS)) if (nearest == level).any()]

    def draw(axes: Axes) -> None:
        axes.boxplot(
            [predicted[nearest == level] for level in filled],
            positions=LEVELS[filled],
            widths=0.12,
            showfliers=False,
            manage_ticks=False,
        )
        axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
        axes.set_xticks(LEVELS, [f"{level:g}\n{(nearest == i).sum()} votes" for i, level in enumerate(LEVELS)])
        axes.set(xlabel="score given", ylabel="score predicted", title="Predictions on the test votes")

    return picture(draw)


def training_history(history: list[dict[str, float | None]], best_epoch: int) -> bytes:
    """Training and validation loss by epoch, the best epoch marked; `history` as in TrainingOutcome."""

    def draw(axes: Axes) -> None:
        for name, label in (("train_loss", "training"), ("validation_loss", "validation")):
            line = np.array([(row["epoch"], row[name]) for row in history], float)  # None: NaN, which is not drawn
            axes.plot(*line.T, marker="o", label=label)
        axes.axvline(best_epoch, linestyle="--", color="grey", linewidth=1, label="best by validation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch (0: the head alone)", ylabel="loss a vote", title="Training")
        axes.legend(frameon=False)

    return picture(draw)
