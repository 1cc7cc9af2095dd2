"""`rlhf reindex`: what Dagster's database has lost, as far as the artifacts' cards know it."""

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json


def reindex(as_json: AsJson = False) -> None:
    """Tell Dagster of every artifact that it does not know, as after its database was lost or restored.

    Weeks show as made again, with their figures and plots over time; runs, logs and check results are gone. Rows of
    rlhf_training_runs that stand as started, by runs that nobody knows any more, are ended. A second time changes
    nothing.

    \b
    Example:  rlhf reindex
    """
    from rlhf_assets.defs.reindex import close_forgotten
    from rlhf_assets.defs.reindex import reindex as tell
    from rlhf_assets.defs.resources import Artifacts, Database

    store = Artifacts().store
    with open_instance() as instance:
        told = tell(instance, store)
        closed = close_forgotten(instance, Database(), store)
    if as_json:
        return print_json({"told": told, "rows_ended": closed})
    for asset, number in told.items():
        typer.echo(f"{number:6d}  {asset}")
    typer.echo(f"{sum(told.values())} artifacts told to Dagster; {closed} rows of rlhf_training_runs ended")
