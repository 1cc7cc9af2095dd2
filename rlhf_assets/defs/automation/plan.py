"""What a backfill needs that nobody has made, and how long its assets took when they were made last."""

from collections.abc import Iterable, Sequence

import dagster as dg

from rlhf_assets.defs.automation.launch import asset_job, chosen
from rlhf_assets.defs.training_runs.run_history import weeks_of_run
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.card import IN_USE


def weeks_without(store: ArtifactStore, asset: str, weeks: Iterable[str]) -> list[str]:
    """Those of the weeks that have no artifact of that asset which others may use."""
    there = set(store.weeks(asset))
    return [week for week in weeks if week not in there or store.newest(asset, week, IN_USE) is None]


def missing_inputs(store: ArtifactStore, keys: Sequence[str], weeks: Sequence[str]) -> dict[str, list[str]]:
    """By asset, the weeks that making these assets for these weeks would look for in vain, oldest first."""
    graph, made = asset_job().asset_layer.asset_graph, chosen(keys)
    needed: dict[str, set[str]] = {}
    for key in made:
        for week in weeks:
            for parent in graph.get_parents_partitions(key, week).parent_partitions:
                if parent.asset_key != key and not (parent.asset_key in made and parent.partition_key in weeks):
                    needed.setdefault(parent.asset_key.to_user_string(), set()).add(str(parent.partition_key))
    found = {asset: weeks_without(store, asset, sorted(of_weeks)) for asset, of_weeks in sorted(needed.items())}
    return {asset: missing for asset, missing in found.items() if missing}


def seconds_a_week(instance: dg.DagsterInstance, assets: Iterable[str]) -> float | None:
    """Seconds that a week of all these took in the newest run of each; None where one was never made here."""
    took: dict[tuple[str, str], float] = {}  # by run and step, since a step may make two assets
    for asset in assets:
        made = instance.get_latest_materialization_event(dg.AssetKey(asset))
        run = instance.get_run_by_id(made.run_id) if made else None
        if made is None or run is None or made.step_key is None:
            return None
        (step,) = instance.get_run_step_stats(run.run_id, [made.step_key])
        if step.start_time is None or step.end_time is None:
            return None
        took[run.run_id, made.step_key] = (step.end_time - step.start_time) / max(1, len(weeks_of_run(run)))
    return sum(took.values())
