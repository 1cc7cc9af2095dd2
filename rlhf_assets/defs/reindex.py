"""Tells a Dagster that has lost its database, or got an older one back, what the artifact store holds."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg

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
    """Report what Dagster was not told of; how many artifacts, by asset.

    Partitions, metadata and data versions come back. Runs, logs and check results do not: a card does not hold them.
    """
    found = untold(instance, store)
    # without its run Dagster goes by time: what was made from an asset must be reported after it, else it is stale
    for artifact in sorted(found, key=lambda artifact: artifact.card.created_at):
        report_outside_run(instance, artifact)
    return dict(Counter(artifact.card.asset for artifact in found))


def untold(instance: dg.DagsterInstance, store: ArtifactStore) -> list[Artifact]:
    """Of each week the committed artifacts after the newest that a materialization names.

    One before that, as of a step that was killed before it told of it, would become the week's newest again.
    """
    found: list[Artifact] = []
    for asset in store.assets():
        known = named(instance, asset)
        for made in committed(store, asset):
            told = [number for number, artifact in enumerate(made, 1) if artifact.relative_path in known]
            found += made[max(told, default=0) :]
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


def committed(store: ArtifactStore, asset: str) -> Iterator[list[Artifact]]:
    """The artifacts of each week of that asset, oldest first; a week with a broken card is left out and told."""
    for week in store.weeks(asset):
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
