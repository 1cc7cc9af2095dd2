"""An audit as an HTML page."""

from collections.abc import Mapping
from typing import Any

from rlhf_assets.feedback.audit_checks import CHECKS, percent
from rlhf_assets.feedback.audit_tables import share, tables
from rlhf_assets.report import page


def report_html(week: str, figures: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page; `figures` with their `warnings`, `pictures` as PNG by what they show."""
    found = figures["warnings"].items()
    return page(
        "Feedback audit",
        week,
        headline(figures),
        [(sentences, f"Usually: {CHECKS[name]}") for name, sentences in found if sentences],
        ("Nothing stands out", "No check found anything, or there were too few votes to tell."),
        tables(figures),
        pictures,
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
