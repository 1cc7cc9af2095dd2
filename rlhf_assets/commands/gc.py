"""`rlhf gc`: what has been kept long enough goes."""

from typing import Annotated

import typer

from rlhf_assets.commands.output import AsJson, print_json


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove artifacts and checkpoints past their retention, and downloads of artifacts that are gone.

    What stays: young artifacts, feedback and recent models in use, every policy that was ever promoted, and all that
    these were made from. [RetentionSettings] in the file that RLHF_SETTINGS names says how long.

    \b
    Example:  rlhf gc --dry-run
    """
    from rlhf_assets.settings import project_settings
    from rlhf_assets.storage.artifacts import ArtifactStore
    from rlhf_assets.storage.home import artifact_root
    from rlhf_assets.storage.retention import leftovers, remove
    from rlhf_assets.storage.settings import RetentionSettings

    store = ArtifactStore(artifact_root())
    found = leftovers(store, project_settings(RetentionSettings))
    if not dry_run:
        for leftover in found:
            remove(leftover)
        store.remove_leftovers()
    freed = sum(leftover.size for leftover in found)
    if as_json:
        gone = [{"path": str(leftover.path), "bytes": leftover.size, "what": leftover.what} for leftover in found]
        return print_json({"dry_run": dry_run, "bytes": freed, "gone": gone})
    for leftover in found:
        typer.echo(f"{leftover.size / 1e6:10.1f} MB  {leftover.what}  {leftover.path}")
    typer.echo(f"{'would free' if dry_run else 'freed'} {freed / 1e6:.1f} MB in {len(found)} places")
