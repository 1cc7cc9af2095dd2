"""Pictures of a reward model as PNG bytes."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlhf_assets.plots import png

LEVELS = np.linspace(0, 1, 5)  # the five scores, normalised; thumbs are the outer two


def predicted_by_score(predicted: np.ndarray, given: np.ndarray) -> bytes:
    """Boxes of the predictions (n,) on votes of each given score (n,); a good model climbs along the dashes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    nearest = np.abs(given[:, None] - LEVELS).argmin(axis=1)
    filled = [level for level in range(len(LEVELS)) if (nearest == level).any()]
    axes.boxplot(
        [predicted[nearest == level] for level in filled],
        positions=LEVELS[filled],
        widths=0.12,
        showfliers=False,
        manage_ticks=False,
    )
    axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    axes.set_xticks(LEVELS, [f"{level:g}\n{(nearest == i).sum()} votes" for i, level in enumerate(LEVELS)])
    axes.set(xlabel="score given", ylabel="score predicted", title="Reward model on its test votes")
    return png(figure)


def training_history(history: list[dict[str, float | None]], best_epoch: int) -> bytes:
    """Training and validation MSE by epoch, the kept epoch marked; `history` as in TrainingOutcome."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, label in (("train_mse", "training"), ("validation_mse", "validation")):
        line = np.array([(row["epoch"], row[name]) for row in history], float)  # None becomes NaN, which is not drawn
        axes.plot(*line.T, marker="o", label=label)
    axes.axvline(best_epoch, linestyle="--", color="grey", linewidth=1, label="kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="mean squared error", title="Training of the reward model")
    axes.legend()
    return png(figure)
