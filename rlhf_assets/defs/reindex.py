"""Tells a Dagster that has lost its database, or got an older one back, what the artifact store holds."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg

from rlhf_assets.defs.automation.orphans import still_under_way
from rlhf_assets.defs.reporting import report_outside_run
from rlhf_assets.defs.resources import Database
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.training_runs.record import MODEL_TYPES, RunRow, Training, row_of

log = logging.getLogger(__name__)

PAGE = 1000  # events read at a time
ASSETS = {model_type: asset for asset, model_type in MODEL_TYPES.items()}
FORGOTTEN = "Dagster no longer knows the run that was to make it"


def reindex(instance: dg.DagsterInstance, store: ArtifactStore) -> dict[str, int]:
    """Report of each week the committed artifacts after the newest that a materialization names; how many, by asset.

    One before that, as of a step that was killed before it told of it, would become the week's newest again.
    Partitions, metadata and data versions come back. Runs, logs and check results do not: a card does not hold them.
    """
    untold: list[Artifact] = []
    for asset in store.assets():
        known = named(instance, asset)
        for made in committed(store, asset, store.weeks(asset)):
            told = [number for number, artifact in enumerate(made, 1) if artifact.relative_path in known]
            untold += made[max(told, default=0) :]
    # without its run Dagster goes by time: what was made from an asset must be reported after it, else it is stale
    for artifact in sorted(untold, key=lambda artifact: artifact.card.created_at):
        report_outside_run(instance, artifact)
    return dict(Counter(artifact.card.asset for artifact in untold))


def unknown_weeks(instance: dg.DagsterInstance, store: ArtifactStore) -> dict[str, list[str]]:
    """The weeks of each asset that have an artifact and in Dagster nothing; not those that a run is just making.

    Opens the cards of such weeks alone.
    """
    found: dict[str, list[str]] = {}
    for asset in store.assets():
        known = instance.get_materialized_partitions(dg.AssetKey(asset))
        for made in committed(store, asset, [week for week in store.weeks(asset) if week not in known]):
            if made and not still_under_way(instance, made[-1].card.run_id):
                found.setdefault(asset, []).append(made[-1].card.week)
    return found


def named(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """The artifacts that Dagster's materializations of that asset name."""
    names: set[str] = set()
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(dg.AssetKey(asset), limit=PAGE, cursor=cursor)
        events = (record.asset_materialization for record in page.records)
        names |= {str(event.metadata["artifact"].value) for event in events if event and "artifact" in event.metadata}
        if not page.has_more:
            return names
        cursor = page.cursor


def committed(store: ArtifactStore, asset: str, weeks: list[str]) -> Iterator[list[Artifact]]:
    """The artifacts of each of these weeks of that asset, oldest first; one with a broken card is left out and told."""
    for week in weeks:
        try:
            yield store.of_week(asset, week)
        except RlhfError as error:
            log.warning("%s of week %s is left out: %s", asset, week, error)


def close_forgotten(instance: dg.DagsterInstance, database: Database, store: ArtifactStore) -> int:
    """End the rows of rlhf_training_runs that stand as started, of runs that Dagster no longer knows; says how many.

    A row is completed where its run has left the model, else failed. Nobody else would ever end it.
    """
    from rlhf_assets.training_runs.upsert import started, upsert

    with database.connect() as connection:
        rows = [row for row in started(connection) if not instance.get_run_by_id(row.metrics["dagster_run_id"])]
        return upsert(connection, (ended(row, store) for row in rows))


def ended(row: RunRow, store: ArtifactStore) -> RunRow:
    """The row of a run that nobody knows any more, by what lies in the store."""
    asset = ASSETS[row.model_type]
    week, run_id = row.metrics["week"], row.metrics["dagster_run_id"]
    made = store.of_run(asset, week, run_id)
    training = Training(
        asset=asset,
        week=week,
        run_id=run_id,
        first_run_id=run_id,
        attempt=row.metrics["attempt"],
        outcome="completed" if made else "failed",
        start=row.start_time,
        end=made.card.created_at if made else datetime.now(UTC),
        artifact=made,
        reason=None if made else FORGOTTEN,
    )
    return replace(row_of(training), id=row.id)
