"""A week's figures as one HTML page that needs nothing beside it: style and pictures inside, no script."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rlhf_assets.feedback.weeks import bounds

TEMPLATE = Path(__file__).with_name("report.html")
EMPTY = "–"
WIDE = 800  # pixels; a wider picture has a row to itself


@dataclass(frozen=True)
class Table:
    """`rows` are as wide as `columns`, the first of which names the row; `note` says how to read it.

    The cells of `prose` wrap, and keep the lines of their text.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    prose: bool = False


def page(
    title: str,
    week: str,
    headline: Mapping[str, str],
    warnings: Sequence[tuple[Sequence[str], str]],
    all_well: tuple[str, str],
    tables: Sequence[Table],
    pictures: Mapping[str, bytes],
) -> str:
    """The page. `headline`: the few figures to read first, by their caption; `warnings`: sentences, and what was
    expected instead; `all_well`: a heading and a sentence that stand there without any; `pictures` as PNG by what they
    show. All is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        week=week,
        last_day=(bounds(week)[1] - timedelta(days=1)).date().isoformat(),
        headline=headline,
        warnings=warnings,
        all_well=all_well,
        tables=tables,
        pictures={title: (base64.b64encode(png).decode(), width(png) > WIDE) for title, png in pictures.items()},
    )


def width(png: bytes) -> int:
    """Pixels, as the header says, whose first number it is."""
    return int.from_bytes(png[16:20], "big")


def interval(of: Mapping[str, float | None] | None, shown: Callable[[float], str]) -> str:
    """`58 % (54 % to 62 %)`; without the interval where there is none."""
    if of is None or of["value"] is None or math.isnan(of["value"]):
        return EMPTY
    value, low, high = of["value"], of["low"], of["high"]
    return shown(value) if low is None or high is None else f"{shown(value)} ({shown(low)} to {shown(high)})"


def number(value: float) -> str:
    return f"{value:.2f}"
