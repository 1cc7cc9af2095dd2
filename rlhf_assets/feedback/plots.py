"""Pictures of a week's feedback as PNG bytes. They show counts and names of segments, never what anybody wrote."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from rlhf_assets.plots import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 12  # more names than this cannot be read; the rest are summed up


def score_distribution(clean: pd.DataFrame) -> bytes:
    """How many votes of each kind gave each score; thumbs stand at both ends, 0 and 1."""
    table = clean.groupby(["score", "kind"]).size().unstack("kind", fill_value=0)
    table = table.reindex([0.0, 0.25, 0.5, 0.75, 1.0], fill_value=0)

    def draw(axes: "Axes") -> None:
        below = pd.Series(0, index=table.index)
        for kind in table:
            axes.bar(table.index, table[kind], width=0.2, bottom=below, label=f"{kind}s")
            below = below + table[kind]
        axes.set(xlabel="score", ylabel="votes", title=f"{len(clean)} clean votes by score", xticks=table.index)
        if len(table.columns):
            axes.legend()

    return picture(draw)


def quarantine_reasons(quarantined: pd.DataFrame) -> bytes:
    """How many votes each rule refused."""
    return picture(lambda axes: bars(axes, quarantined["reason"], f"{len(quarantined)} votes in quarantine by reason"))


def votes_per_segment(raw: pd.DataFrame) -> bytes:
    """How many votes, usable or not, came from each segment of users."""
    return picture(lambda axes: bars(axes, raw["segment"].fillna("none"), f"{len(raw)} votes by segment"))


def bars(axes: "Axes", values: pd.Series, title: str) -> None:
    """Horizontal bars of how often each value occurs, the most frequent on top."""
    votes = values.astype("str").value_counts()
    shown = votes.head(BARS)
    if len(votes) > BARS:
        shown = pd.concat([shown, pd.Series({f"{len(votes) - BARS} others": votes[BARS:].sum()})])
    places = range(len(shown))
    axes.barh(places, shown.to_numpy())
    axes.set_yticks(places, [name if len(name) <= 30 else f"{name[:29]}…" for name in shown.index], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="votes", title=title)


def picture(draw: "Callable[[Axes], None]") -> bytes:
    """One pair of axes as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    draw(figure.add_subplot())
    return png(figure)
