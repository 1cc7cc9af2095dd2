"""`rlhf gc`: what has been kept long enough goes."""

from typing import Annotated

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove artifacts and checkpoints past their retention, and runs in Dagster's tables that made nothing.

    What stays: young artifacts, feedback and recent models in use, every policy that was ever promoted, and all that
    these were made from; runs that made something, and the rows of rlhf_training_runs. [RetentionSettings] in the file
    that RLHF_SETTINGS names says how long.

    \b
    Example:  rlhf gc --dry-run
    """
    from rlhf_assets.defs.automation.old_runs import forget, old_runs
    from rlhf_assets.defs.training_runs.recorder import record_run
    from rlhf_assets.settings import project_settings
    from rlhf_assets.storage.artifacts import ArtifactStore
    from rlhf_assets.storage.home import artifact_root
    from rlhf_assets.storage.retention import leftovers, remove
    from rlhf_assets.storage.settings import RetentionSettings

    store, settings = ArtifactStore(artifact_root()), project_settings(RetentionSettings)
    found = leftovers(store, settings)
    with open_instance() as instance:
        runs = old_runs(instance, settings)
        for run in runs if not dry_run else []:
            record_run(instance, run.run_id)  # its last chance, had the recorder not seen it
            forget(instance, run)
    if not dry_run:
        for leftover in found:
            remove(leftover)
        store.remove_leftovers()
    freed = sum(leftover.size for leftover in found)
    if as_json:
        gone = [{"path": str(leftover.path), "bytes": leftover.size, "what": leftover.what} for leftover in found]
        return print_json({"dry_run": dry_run, "bytes": freed, "gone": gone, "runs": [run.run_id for run in runs]})
    for leftover in found:
        typer.echo(f"{leftover.size / 1e6:10.1f} MB  {leftover.what}  {leftover.path}")
    typer.echo(f"{'would free' if dry_run else 'freed'} {freed / 1e6:.1f} MB in {len(found)} places")
    typer.echo(f"{'would forget' if dry_run else 'forgot'} {len(runs)} runs in Dagster's tables that made nothing")
