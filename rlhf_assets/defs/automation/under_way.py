"""Two runs of one week: what the run queue does not keep apart, and what the one has done while the other waited."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import dagster as dg

from rlhf_assets.defs.training_runs.run_history import weeks_of_run
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.training_runs.record import MODEL_TYPES

RUNNING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def keep_apart(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey], weeks: Sequence[str]) -> None:
    """RlhfError where a run that trains one of these models of one of these weeks is under way.

    Waiting for it would only train the week a second time.
    """
    models = {key for key in keys if key.to_user_string() in MODEL_TYPES}
    if not models:
        return
    for record in instance.get_run_records(dg.RunsFilter(statuses=RUNNING)):
        run, same = record.dagster_run, set(weeks_of_run(record.dagster_run)) & set(weeks)
        if same and (run.asset_selection is None or models & run.asset_selection):
            since = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
            raise RlhfError(
                f"run {run.run_id} has been training week {min(same)} since {since:%Y-%m-%d %H:%M} UTC; wait for it or "
                "cancel it in the UI"
            )


def taken_pools(instance: dg.DagsterInstance, pools: Iterable[str]) -> list[str]:
    """A phrase for each step that has taken one of these pools: a run that waits for it says nothing by itself."""
    taken = []
    for pool in sorted(pools):
        found = instance.event_log_storage.get_concurrency_info(pool)
        if found.limit is not None and found.active_slot_count >= found.limit:
            for slot in found.claimed_slots:
                run = instance.get_run_by_id(slot.run_id)
                weeks = f" of {', '.join(weeks_of_run(run))}" if run else ""
                taken.append(f"the pool {pool} is taken by {slot.step_key}{weeks} (run {slot.run_id}) until that ends")
    return taken


def made_meanwhile(context: dg.AssetExecutionContext, store: ArtifactStore, week: str) -> str | None:
    """Why a run that waited has nothing left to train: another one has compared the week's policies in the meantime."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    compared = store.newest("policy_evaluation", week)
    if record is None or compared is None or compared.card.run_id == context.run.run_id:
        return None
    if compared.card.created_at < record.create_timestamp:
        return None
    return f"run {compared.card.run_id} has trained week {week} while this one waited; launch it again for another try"
