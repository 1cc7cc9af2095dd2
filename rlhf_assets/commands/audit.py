"""`rlhf audit`: what a person should know about a week's feedback."""

from typing import Any

from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.commands.weeks import Week
from rlhf_assets.errors import RlhfError

NAME_WIDTH = 34  # characters


def audit(week: Week = None, as_json: AsJson = False) -> None:
    """Show the audit of a week's feedback: what to look at first, then the figures.

    Reads what `rlhf backfill` or the schedule made; the same as a page, with pictures, lies beside it as report.html.

    \b
    Example:  rlhf audit --week 2026-11-15
              rlhf audit --json | jq '.warnings, .positive_share'
    """
    from rlhf_assets.feedback.weeks import last_closed_week
    from rlhf_assets.storage.artifacts import ArtifactStore, command_for
    from rlhf_assets.storage.home import artifact_root

    week = week or last_closed_week()
    made = ArtifactStore(artifact_root()).require("feedback_audit", week)
    figures = made.card.figures
    if "warnings" not in figures:
        command = command_for("feedback_audit", week, week)
        raise RlhfError(f"the audit of week {week} is of an older version; make it anew with `{command}`")
    report = str(made.path("report.html"))
    if as_json:
        print_json({"week": week, **figures, "report": report})
    else:
        show(week, figures, report)


def show(week: str, figures: dict[str, Any], report: str) -> None:
    """Warnings first, then the tables, then where the report lies."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from rlhf_assets.feedback.audit_tables import tables

    console = Console()
    warnings = [sentence for sentences in figures["warnings"].values() for sentence in sentences]
    console.print(f"[bold]Feedback audit, week {week}[/]")
    for sentence in warnings or ["Nothing stands out."]:
        console.print(f"[yellow]{escape(sentence)}[/]" if warnings else sentence, highlight=False)
    for of in tables(figures):
        console.print(f"\n[bold]{of.title}[/]")
        console.print(of.note, style="dim", highlight=False)
        table = Table(*of.columns, box=None, pad_edge=False)
        name, *others = table.columns
        name.no_wrap, name.max_width = True, NAME_WIDTH  # somebody's long name must not push the figures out
        for column in others:
            column.overflow = "fold"  # in a narrow window they take a second line and lose nothing
        for row in of.rows:
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
    console.print(f"\n{report}", soft_wrap=True, highlight=False, markup=False)
