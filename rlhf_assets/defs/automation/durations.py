"""How long assets took when they were made last."""

from collections.abc import Iterable

import dagster as dg

from rlhf_assets.defs.training_runs.run_history import weeks_of_run


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
