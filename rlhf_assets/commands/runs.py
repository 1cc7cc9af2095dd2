"""The rows of rlhf_training_runs, for people and for programs."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.printable import printable

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def runs(
    limit: Annotated[int, typer.Option(min=1, help="Newest rows to show.")] = 20,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="First write the rows of all runs that Dagster knows.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the rows of rlhf_training_runs, newest first.

    With --json each has an `outcome` beside its training_status, which calls a skipped training completed.
    --reconcile restores rows that somebody deleted or that an older backup of the database does not have.

    \b
    Example:  rlhf runs
              rlhf runs --reconcile
              rlhf runs --json | jq '.runs[0].metrics'
    """
    if reconcile:
        from rlhf_assets.defs.training_runs.recorder import record_runs

        with open_instance() as instance:
            typer.echo(f"{record_runs(instance)} rows written", err=True)
    rows = recorded_runs(limit)
    if as_json:
        print_json({"runs": rows})
    elif rows:
        show_runs(rows)
    else:
        typer.echo("no training run is recorded yet; `rlhf train both` makes some")


def recorded_runs(limit: int = 100, since: datetime = BEGINNING) -> list[dict[str, Any]]:
    """The newest rows, newest first, of runs that started since then.

    Each has an `outcome` too, in which a skip is no completed training.
    """
    from psycopg.rows import dict_row

    from rlhf_assets.storage.database import connect, pipeline_url

    with connect(pipeline_url(), read_only=True) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select * from public.rlhf_training_runs where start_time >= %s order by start_time desc limit %s",
            (since, limit),
        )
        return [{**row, "outcome": outcome(row)} for row in cursor]


def outcome(row: dict[str, Any]) -> str:
    """What came of the training: its status, or skipped, which the table has as completed."""
    return "skipped" if (row["metrics"] or {}).get("skipped") else row["training_status"]


def verdict(metrics: dict[str, Any]) -> str:
    """Why there is no model, or what the gate or a person said of it, which their reasons may say again."""
    gate, reasons = metrics.get("gate"), metrics.get("reasons", [])
    said = reasons and str(reasons[0]).startswith(f"{gate} by ")
    told = [metrics.get("skipped"), metrics.get("error"), None if said else gate, *reasons]
    return "; ".join(str(word) for word in told if word)


def show_runs(rows: list[dict[str, Any]]) -> None:
    """A line a row: when, what, how it ended and what the gate said."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("started (UTC)", "model", "week", "status", "took", "verdict", box=None, pad_edge=False)
    for row in rows:
        metrics, end = row["metrics"] or {}, row["end_time"]
        table.add_row(
            f"{row['start_time'].astimezone(UTC):%Y-%m-%d %H:%M}",
            row["model_type"],
            metrics.get("week"),
            row["outcome"],
            str(end - row["start_time"]).split(".")[0] if end else "",
            escape(printable(verdict(metrics))),
        )
    Console().print(table)
