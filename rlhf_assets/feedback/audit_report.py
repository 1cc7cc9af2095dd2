"""An audit as one HTML page that needs nothing beside it: style and pictures inside, no script, no text of users."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from rlhf_assets.feedback.audit_checks import CHECKS, percent
from rlhf_assets.feedback.audit_tables import share, tables
from rlhf_assets.feedback.weeks import bounds

TEMPLATE = Path(__file__).with_name("audit_report.html")


def report_html(week: str, figures: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page; `figures` with their `warnings`, `pictures` as PNG by what they show. Every name in it is escaped."""
    from jinja2 import Environment, StrictUndefined

    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        week=week,
        last_day=(bounds(week)[1] - timedelta(days=1)).date().isoformat(),
        headline=headline(figures),
        warnings=[(CHECKS[name], sentences) for name, sentences in figures["warnings"].items() if sentences],
        tables=tables(figures),
        pictures={title: base64.b64encode(png).decode() for title, png in pictures.items()},
    )


def headline(figures: Mapping[str, Any]) -> dict[str, str]:
    """The few figures to read first, by their caption."""
    positive = figures["positive_share"] or {"value": None, "low": None}
    sure = "" if positive["low"] is None else f" ({percent(positive['low'])} to {percent(positive['high'])})"
    return {
        "clean votes": str(figures["votes"]["clean"]),
        f"positive{sure}": share(positive["value"]),
        "of the answers rated": share(figures["rated_share"]),
        "people who rated": str(figures["raters"]["people"]),
        "of the votes left out": share(figures["quarantine_share"]),
        "of last week's people came back": share(figures["activity"]["all"]["returned_share"]),
    }
