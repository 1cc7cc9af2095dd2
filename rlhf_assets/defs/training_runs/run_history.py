"""What Dagster's event log tells about each model of a run, whichever way the run was launched."""

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEventType as Event
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
)

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import weeks_between
from rlhf_assets.storage.artifacts import CARD, Artifact, ArtifactStore
from rlhf_assets.training_runs.record import MODEL_TYPES, Outcome, Training

TOLD = {
    Event.ASSET_MATERIALIZATION_PLANNED,
    Event.STEP_START,
    Event.STEP_FAILURE,
    Event.STEP_SKIPPED,
    Event.ASSET_MATERIALIZATION,
    Event.ASSET_OBSERVATION,
}
Told = dict[Event, list[EventLogEntry]]
NEEDED = {"ppo_policy": ("reward_model", "judge_model")}  # models that keep another one from starting when refused
CRASHED = "ChildProcessCrashException"
OVER = {
    dg.DagsterRunStatus.SUCCESS: "skipped",  # the step ended well and made nothing
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "canceled",
}


def trainings_of(instance: dg.DagsterInstance, run: dg.DagsterRun, store: ArtifactStore) -> list[Training]:
    """One Training for each model and week of the run whose step was started or skipped, or kept back by a refusal.

    Weeks come from the run's tags, assets from its events: neither the run's asset selection nor its partition key is
    there for every way to launch. A model asset's step has the asset's name.
    """
    first, attempt = first_of_chain(instance, run)
    events: dict[str, Told] = defaultdict(lambda: defaultdict(list))
    skips: dict[str, str] = {}
    for entry in instance.all_logs(run.run_id, of_type=TOLD):
        if (event := entry.dagster_event) and entry.step_key:
            events[entry.step_key][event.event_type].append(entry)
            if event.event_type is Event.ASSET_OBSERVATION and entry.asset_observation:
                skipped = entry.asset_observation.metadata.get("skipped")
                if skipped is not None:
                    skips[entry.step_key] = str(skipped.value)
    found = []
    for asset in MODEL_TYPES:
        told = events.get(asset, {})
        refused = refusals(events, asset)
        started = [*told.get(Event.STEP_START, []), *told.get(Event.STEP_SKIPPED, []), *refused.values()]
        if not started:
            continue
        for week in weeks_of_run(run):
            made = [entry for entry in told.get(Event.ASSET_MATERIALIZATION, []) if of_week(entry, week)]
            outcome, end, reason = by_whom(instance, run, *how_it_ended(run, told, made, skips, refused, asset))
            artifact = artifact_of(store, made[-1]) if made else None
            found.append(
                Training(
                    asset=asset,
                    week=week,
                    run_id=run.run_id,
                    first_run_id=first,
                    attempt=attempt,
                    outcome=outcome,
                    start=moment(started[0]),
                    end=end or over_since(instance, run),
                    artifact=artifact,
                    verdict=verdict_on(store, artifact) if artifact and asset == "ppo_policy" else None,
                    reason=reason,
                )
            )
    return found


def how_it_ended(
    run: dg.DagsterRun,
    told: Told,
    made: list[EventLogEntry],
    skips: dict[str, str],
    refused: dict[str, EventLogEntry],
    asset: str,
) -> tuple[Outcome, datetime | None, str | None]:
    """The asset decides, not its run: outcome, end and one line of reason."""
    if made:
        return "completed", moment(made[-1]), None
    if observed := told.get(Event.ASSET_OBSERVATION):
        return "skipped", moment(observed[-1]), skips.get(asset)
    if skipped := told.get(Event.STEP_SKIPPED):
        return "skipped", moment(skipped[-1]), why_skipped_with(skips)
    if failures := told.get(Event.STEP_FAILURE):
        interrupted, reason = failure(failures[-1])
        return "canceled" if interrupted else "failed", moment(failures[-1]), reason
    if refused:
        reasons = "; ".join(f"{model} was refused: {failure(entry)[1]}" for model, entry in refused.items())
        return "skipped", moment(next(iter(refused.values()))), reasons
    if run.status in OVER:
        return OVER[run.status], None, "the run ended before the model was made"  # type: ignore[return-value]
    return "started", None, None


def refusals(events: Mapping[str, Told], asset: str) -> dict[str, EventLogEntry]:
    """The models of the run that were made and then refused, so that this asset's planned step never starts."""
    told = events.get(asset, {})
    if Event.ASSET_MATERIALIZATION_PLANNED not in told or Event.STEP_START in told:
        return {}
    of_models = {model: events.get(model, {}) for model in NEEDED.get(asset, ())}
    return {
        model: of_model[Event.STEP_FAILURE][-1]
        for model, of_model in of_models.items()
        if Event.ASSET_MATERIALIZATION in of_model and Event.STEP_FAILURE in of_model
    }


def over_since(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime | None:
    """When the run ended, for a model whose step never said so, as one that was killed; None while it goes on."""
    record = instance.get_run_record_by_id(run.run_id)
    return datetime.fromtimestamp(record.end_time, UTC) if record and record.end_time else None


def said(data: StepFailureData) -> str | None:
    """What the project itself says of a step's failure, in one line; None where it has a traceback alone."""
    if data.error and data.error.cls_name == CRASHED:
        return "the step's process was killed, most often because the machine had too little memory left"
    return data.user_failure_data.description if data.user_failure_data else None


def by_whom(
    instance: dg.DagsterInstance, run: dg.DagsterRun, outcome: Outcome, end: datetime | None, reason: str | None
) -> tuple[Outcome, datetime | None, str | None]:
    """The same, but what its time limit ended was not canceled: it failed, and says so.

    While a run is being stopped, nobody knows how it will end.
    """
    if outcome == "canceled" and not run.is_finished:
        return "started", None, None
    if outcome not in ("canceled", "failed") or run.status is not dg.DagsterRunStatus.FAILURE:
        return outcome, end, reason
    stops = [entry.get_dagster_event() for entry in instance.all_logs(run.run_id, of_type={Event.RUN_CANCELING})]
    limits = [
        found[1] for event in stops if (found := re.search(r"maximum runtime of (\d+) seconds", event.message or ""))
    ]
    return ("failed", end, f"stopped at its time limit of {limits[0]} seconds") if limits else (outcome, end, reason)


def why_skipped_with(skips: Mapping[str, str]) -> str:
    """Why a step was skipped along with those that gave these reasons, each reason once."""
    assets: dict[str, list[str]] = defaultdict(list)
    for asset, reason in skips.items():
        assets[reason].append(asset)
    told = [
        f"{', '.join(sorted(names))} {'was' if len(names) == 1 else 'were'} skipped: {reason}"
        for reason, names in assets.items()
    ]
    return "; ".join(told) or "what it is made from was skipped"


def failure(entry: EventLogEntry) -> tuple[bool, str]:
    """Whether a person stopped it, and why it failed in one line without a traceback."""
    event = entry.get_dagster_event()
    if interrupted(event):
        return True, "it was stopped where it ran"
    if told := said(event.step_failure_data):
        return False, told
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    return False, (error.cls_name if error else None) or "unknown error"


def interrupted(event: dg.DagsterEvent) -> bool:
    """Whether this is a step that was stopped, as by Ctrl-C or in the UI."""
    return event.is_step_failure and event.step_failure_data.error_source is ErrorSource.INTERRUPT


def first_of_chain(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, int]:
    """The first run of the automatic retry chain and this run's place in it; a retry by hand starts a new chain."""
    first, attempt = run, 1
    while RETRY_NUMBER_TAG in first.tags and first.parent_run_id:
        parent = instance.get_run_by_id(first.parent_run_id)
        if parent is None:  # deleted: its id is still the chain's
            return first.parent_run_id, attempt + 1
        first, attempt = parent, attempt + 1
    return first.run_id, attempt


def weeks_of_run(run: dg.DagsterRun) -> list[str]:
    """The weeks the run is for, from its tags."""
    if week := run.tags.get(PARTITION_NAME_TAG):
        return [week]
    first, last = run.tags.get(ASSET_PARTITION_RANGE_START_TAG), run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    return weeks_between(first, last) if first and last else []


def of_week(entry: EventLogEntry, week: str) -> bool:
    return entry.get_dagster_event().partition == week


def artifact_of(store: ArtifactStore, entry: EventLogEntry) -> Artifact | None:
    """The artifact a materialization names, if it is still there."""
    made = entry.asset_materialization
    return still_there(store, str(made.metadata["artifact"].value)) if made and "artifact" in made.metadata else None


def still_there(store: ArtifactStore, path: str) -> Artifact | None:
    """The artifact at `path`, None when somebody deleted it or its card cannot be read."""
    try:
        return store.open(path)
    except RlhfError:
        return None


def verdicts(store: ArtifactStore, week: str) -> list[Artifact]:
    """Every readable verdict of promotion in that week, oldest first; a broken card must not stop the recorder."""
    cards = (store.root / "promotion" / week).glob(f"*/{CARD}")
    found = [still_there(store, f"promotion/{week}/{card.parent.name}") for card in cards]
    return sorted((verdict for verdict in found if verdict), key=lambda verdict: verdict.card.created_at)


def verdict_on(store: ArtifactStore, policy: Artifact) -> Artifact | None:
    """The newest verdict of promotion on that policy."""
    path = policy.relative_path
    ours = [v for v in verdicts(store, policy.card.week) if any(parent.path == path for parent in v.card.parents)]
    return ours[-1] if ours else None


def judged_in(instance: dg.DagsterInstance, store: ArtifactStore, week: str) -> list[dg.DagsterRun]:
    """The runs whose policies were judged or decided on in that week: their rows carry the verdict."""
    parents = [parent for verdict in verdicts(store, week) for parent in verdict.card.parents]
    paths = {parent.path for parent in parents if parent.asset == "ppo_policy"}
    made_by = {policy.card.run_id for path in paths if (policy := still_there(store, path))}
    return [run for run_id in sorted(made_by) if (run := instance.get_run_by_id(run_id))]


def moment(entry: EventLogEntry) -> datetime:
    return datetime.fromtimestamp(entry.timestamp, UTC)
