"""Pictures of a week's feedback as PNG bytes. They show counts and names of segments, never what anybody wrote."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from rlhf_assets.feedback.audit_checks import DISTRIBUTIONS
from rlhf_assets.feedback.drift import WATCHED
from rlhf_assets.plots import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 12  # more classes than this cannot be read
ORDERED = ("ratings", "answer_lengths")
NOW, BEFORE = "#1f5fa8", "#b9c4d0"


def pictures(
    week: str, votes: pd.DataFrame, weeks: Mapping[str, Mapping[str, Any]], quarantined: pd.DataFrame
) -> dict[str, bytes]:
    """The audit's pictures by title: `votes` (`votes_of`) of the week and its look-back, `weeks` of its figures."""
    now, before = votes[votes["week"] == week], votes[votes["week"] != week]
    return {
        "Positive votes": balance(weeks),
        **{
            DISTRIBUTIONS[name]: distribution(classes(now), classes(before), DISTRIBUTIONS[name], name in ORDERED)
            for name, classes in WATCHED.items()
        },
        "Quarantine": quarantine_reasons(quarantined),
    }


def balance(weeks: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The share of positive votes week by week, with its interval where there is one."""
    known = {week: figures["positive_share"] for week, figures in weeks.items() if figures["positive_share"]}

    def draw(axes: "Axes") -> None:
        axes.plot(list(known), [share["value"] for share in known.values()], color=NOW, marker="o")
        for week, share in known.items():
            if share["low"] is not None:
                axes.vlines(week, share["low"], share["high"], color=NOW, linewidth=4, alpha=0.35)
        axes.set(ylim=(0, 1), ylabel="share", title="Positive votes, with 95 % intervals")

    return picture(draw)


def distribution(now: pd.Series, before: pd.Series, title: str, ordered: bool) -> bytes:
    """The share of votes in each class, this week's beside the look-back's; the most frequent classes only.

    `ordered` classes stand by the numbers in their names, others by frequency.
    """
    names = pd.concat([now, before]).value_counts().index[:BARS]
    if ordered:
        names = pd.Index(sorted(names, key=lambda name: re.sub(r"\d+", lambda digits: digits[0].zfill(12), name)))

    def draw(axes: "Axes") -> None:
        for votes, label, shift, colour in ((now, "this week", -0.2, NOW), (before, "look-back", 0.2, BEFORE)):
            shares = votes.value_counts(normalize=True).reindex(names, fill_value=0)
            places = [place + shift for place in range(len(names))]
            axes.barh(places, shares.to_numpy(), height=0.4, label=label, color=colour)
        name_bars(axes, names)
        axes.set(xlabel="share of votes", title=title)
        axes.locator_params(axis="x", nbins=5)
        axes.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))  # beside the bars, not on

    return picture(draw)


def quarantine_reasons(quarantined: pd.DataFrame) -> bytes:
    """How many votes each rule refused, the most frequent reason on top."""
    votes = quarantined["reason"].value_counts()[:BARS]

    def draw(axes: "Axes") -> None:
        axes.barh(range(len(votes)), votes.to_numpy(), color=NOW)
        name_bars(axes, votes.index)
        axes.set(xlabel="votes", title=f"{len(quarantined)} votes in quarantine, by reason")

    return picture(draw)


def name_bars(axes: "Axes", names: pd.Index) -> None:
    """Horizontal bars from the top down, with names of which nothing is read as mathematics."""
    short = [name if len(name) <= 30 else f"{name[:29]}…" for name in names]
    axes.set_yticks(range(len(names)), short, parse_math=False)
    axes.invert_yaxis()


def picture(draw: "Callable[[Axes], None]") -> bytes:
    """One pair of axes as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    return png(figure)
