"""Small assets that carry the models' names, the runs that make them, and what the recorder writes of these."""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
from dagster._core.errors import DagsterExecutionInterruptedError

from rlhf_assets.storage.artifacts import ArtifactStore

WEEK, NEXT = "2026-03-01", "2026-03-08"
WEEKS = dg.WeeklyPartitionsDefinition(start_date=WEEK, timezone="UTC")
Rows = list[tuple[Any, ...]]


class Ending(dg.Config):
    """How the step ends: made, failed, crashed, canceled, skipped, refused."""

    how: str = "made"


def step(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    """A model asset that leaves an empty artifact."""
    asset, week = context.asset_key.to_user_string(), context.partition_key
    if config.how == "failed":
        raise dg.Failure(description="the loss is nan; lower the rate", allow_retries=False)
    if config.how == "crashed":
        raise ZeroDivisionError("secret text")
    if config.how == "canceled":
        raise DagsterExecutionInterruptedError
    if config.how == "skipped":
        context.log_event(dg.AssetObservation(asset_key=asset, partition=week, metadata={"skipped": "3 rows"}))
        return
    with store().draft(asset, week, context.run.run_id) as draft:
        made = draft.commit(figures={"loss": 0.5})
    yield dg.MaterializeResult(metadata={"artifact": made.relative_path})
    if config.how == "refused":
        raise dg.Failure(description="rejected: it likes length", allow_retries=False)


@dg.asset(partitions_def=WEEKS, output_required=False)
def sft_policy(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    yield from step(context, config)


@dg.asset(partitions_def=WEEKS, output_required=False)
def reward_model(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    yield from step(context, config)


@dg.asset(partitions_def=WEEKS, output_required=False, deps=[sft_policy, reward_model])
def ppo_policy(context: dg.AssetExecutionContext, config: Ending) -> Iterator[dg.MaterializeResult]:
    yield from step(context, config)


@dg.asset(partitions_def=WEEKS)
def somebody_elses(context: dg.AssetExecutionContext) -> None: ...


ASSETS = [sft_policy, reward_model, ppo_policy, somebody_elses]
JOB = dg.Definitions(assets=ASSETS, executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()


def store() -> ArtifactStore:
    return ArtifactStore(os.environ["RLHF_ARTIFACTS"])


def launch(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, tags: dict | None = None, **endings: str) -> Any:
    return JOB.execute_in_process(
        instance=instance,
        asset_selection=[asset.key for asset in assets],
        partition_key=WEEK,
        tags=tags,
        run_config={"ops": {name: {"config": {"how": how}} for name, how in endings.items()}},
        raise_on_error=False,
    )


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> str:
    """One evaluation of the sensor; returns its new cursor."""
    from rlhf_assets.defs.resources import Artifacts, Database
    from rlhf_assets.defs.training_runs.recorder import training_run_recorder

    resources = {"database": Database(), "artifacts": Artifacts()}
    with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
        data = training_run_recorder.evaluate_tick(context)
    assert data.cursor
    return data.cursor


def read(url: str, query: str) -> Rows:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def rows(url: str) -> Rows:
    return read(
        url,
        "select model_type, training_status, metrics from rlhf_training_runs "
        "order by start_time, model_type, metrics ->> 'week'",
    )


def told(url: str) -> list[tuple[str, str]]:
    return [(model, status) for model, status, _ in rows(url)]


def decide(instance: dg.DagsterInstance) -> None:
    """A person demotes the policy of the week."""
    from rlhf_assets.defs.evaluation.decision import tell

    with store().draft("promotion", WEEK, "by-hand") as draft:
        decision = draft.commit("demoted", parents=store().of_week("ppo_policy", WEEK), reasons=["by ann"])
    tell(instance, store(), decision)


def gates(url: str) -> Rows:
    return read(url, "select model_type, metrics ->> 'gate' from rlhf_training_runs order by model_type")
