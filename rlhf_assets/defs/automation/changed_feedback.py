"""Finds closed weeks whose votes the app has changed since they were extracted, and asks for them to be made anew.

Raw feedback of these weeks, clean feedback and audit of these and of the weeks that look back on them, the newest
datasets. Older datasets and models are kept and marked: what they were made of was true on their day.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from rlhf_assets.defs.partitions import FEEDBACK_LIMIT, WEEKS
from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.settings import LOOKBACK_WEEKS
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.storage.artifacts import ArtifactStore

RAW = {"raw_message_feedback": "message", "raw_step_feedback": "step"}
CLEAN = ("clean_feedback", "quarantined_feedback")
DATASETS = ("reward_dataset", "policy_prompts")
MODELS = ("reward_model", "judge_model", "sft_policy", "ppo_policy", "policy_evaluation")
Weeks = Mapping[str, Sequence[str]]  # by asset
TAG = {"rlhf/changed_feedback": "true"}
BUDGET_SECONDS = 30.0  # of one tick; Dagster ends it at 60
UNDER_WAY = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]


def extracted_weeks(store: ArtifactStore) -> list[str]:
    """Newest first: there changes are likeliest."""
    return sorted({week for asset in RAW for week in store.weeks(asset)}, reverse=True)


def changed(database: Database, store: ArtifactStore, weeks: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each of the weeks with how its source differs from what the extraction in use read, a phrase a kind of votes.

    A week that was never extracted has not changed, nor has one whose extraction kept no hash of its source.
    """
    from rlhf_assets.feedback.read import week_fingerprint

    with database.connect(read_only=True) as connection:
        for week in weeks:
            sources = {
                kind: raw.card.figures["source"]
                for asset, kind in RAW.items()
                if (raw := store.newest(asset, week)) and "source" in raw.card.figures
            }
            found = {kind: week_fingerprint(connection, kind, week) for kind in sources}
            yield (
                week,
                [
                    f"{was['rows']} votes on a {kind}, now {found[kind].rows}"
                    + (", some edited" if was["rows"] == found[kind].rows else "")
                    for kind, was in sources.items()
                    if was["sha256"] != found[kind].sha256
                ],
            )


def to_make_anew(store: ArtifactStore, weeks: Sequence[str]) -> Weeks:
    """The weeks of each asset, in the order in which they are made."""

    def reached(asset: str, ahead: int) -> list[str]:
        later = {earlier(week, -n) for week in weeks for n in range(ahead + 1)}
        return sorted(later & {*weeks, *store.weeks(asset)})

    cleaned, audited = reached("clean_feedback", LOOKBACK_WEEKS), reached("feedback_audit", 2 * LOOKBACK_WEEKS)
    newest = {asset: store.weeks(asset)[-1:] for asset in DATASETS}
    return {
        **{asset: sorted(weeks) for asset in RAW},
        **dict.fromkeys(CLEAN, cleaned),
        "feedback_audit": audited,  # it looks back on weeks that look back
        **{asset: made for asset, made in newest.items() if made and made[0] >= min(weeks)},
    }


def request(instance: dg.DagsterInstance, wanted: Weeks, title: str) -> str:
    """Ask the daemon for these weeks of these assets, what comes first first; returns the backfill's id."""
    subsets = {dg.AssetKey(asset): WEEKS.subset_with_partition_keys(weeks) for asset, weeks in wanted.items()}
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=make_new_backfill_id(),
        backfill_timestamp=time.time(),
        tags=TAG | FEEDBACK_LIMIT,
        dynamic_partitions_store=instance,
        asset_graph_subset=AssetGraphSubset(subsets),  # type: ignore[call-arg]  # a decorator hides the signature
        title=title,
        description="Their votes have changed since they were extracted.",
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def mark(
    instance: dg.DagsterInstance, store: ArtifactStore, weeks: Sequence[str], anew: Mapping[str, Sequence[str]]
) -> int:
    """Say on each older dataset and model that knows one of the weeks that it has changed since; how many there are."""
    marked = 0
    for asset in (*DATASETS, *MODELS):
        for week in store.weeks(asset):
            if week < min(weeks) or week in anew.get(asset, ()):
                continue
            text = f"made from feedback that has changed since, of {', '.join(w for w in weeks if w <= week)}"
            instance.report_runless_asset_event(
                dg.AssetObservation(asset_key=asset, partition=week, metadata={"outdated": text})
            )
            marked += 1
    return marked


def make_anew(instance: dg.DagsterInstance, store: ArtifactStore, weeks: Sequence[str]) -> tuple[str, Weeks, int]:
    """Request what hangs on these weeks and mark what is kept: the backfill's id, what it makes, how many it marked."""
    wanted = to_make_anew(store, weeks)
    asked = request(instance, wanted, f"changed feedback of {', '.join(weeks)}")
    return asked, wanted, mark(instance, store, weeks, wanted)


@dg.sensor(
    name="changed_feedback",
    description="Reads closed weeks again, newest first, and asks for a backfill of those whose votes the app has "
    "changed or deleted since: their feedback and the newest datasets. Older datasets and models stay and are marked.",
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def changed_feedback(context: dg.SensorEvaluationContext, database: Database, artifacts: Artifacts) -> dg.SkipReason:
    """Looks at closed weeks in turn, newest first, and has changed ones made anew; its cursor is the last one seen."""
    store = artifacts.store
    if context.instance.get_backfills(BulkActionsFilter(statuses=UNDER_WAY, tags=TAG)):
        return dg.SkipReason("the last request is still under way")
    extracted = extracted_weeks(store)
    if not extracted:
        return dg.SkipReason("no week has been extracted yet")
    waiting = [week for week in extracted if not context.cursor or week < context.cursor] or extracted
    deadline, looked_at, found = time.monotonic() + BUDGET_SECONDS, "", []
    try:
        for looked_at, differs in changed(database, store, waiting):
            if differs:
                found.append(looked_at)
            if time.monotonic() > deadline:
                break
    except RlhfError as error:
        raise dg.Failure(description=f"nothing is lost, the next tick tries again: {error}") from None
    context.update_cursor(looked_at)
    if not found:
        return dg.SkipReason(f"no vote has changed in the weeks from {looked_at} on")
    asked, _, marked = make_anew(context.instance, store, sorted(found))
    return dg.SkipReason(f"backfill {asked} for {', '.join(sorted(found))}; {marked} older datasets and models marked")
