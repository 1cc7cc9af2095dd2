"""Runs of a small model, and the row that each must leave."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run, execute_run_iterator
from dagster._core.storage.tags import RETRY_NUMBER_TAG

from faults.recording.world import Expected, World
from rlhf_assets_tests.defs.small_models import JOB, WEEK, launch, sft_policy


def trained(world: World, how: str = "made") -> Expected:
    """One run of a small model, and the row that it must leave."""
    run = launch(world.instance, sft_policy, sft_policy=how)
    return "sft", run.run_id, "completed" if how == "made" else how


def planned(world: World, **how: Any) -> dg.DagsterRun:
    """A run of the small model that does not run yet."""
    tags = {"dagster/partition": WEEK, **how.pop("tags", {})}
    return world.instance.create_run_for_job(subset(), tags=tags, **how)


def subset() -> dg.JobDefinition:
    return JOB.get_subset(asset_selection={sft_policy.key})


def retried(world: World, first: str) -> Expected:
    """An automatic retry of that run."""
    again = planned(world, parent_run_id=first, root_run_id=first, tags={RETRY_NUMBER_TAG: "1"})
    execute_run(InMemoryJob(subset()), again, world.instance)
    return "sft", again.run_id, "completed"


@contextmanager
def under_way(world: World) -> Iterator[dg.DagsterRun]:
    """A run whose model is being trained until the end of the block."""
    run = planned(world)
    events = execute_run_iterator(InMemoryJob(subset()), run, world.instance)
    next(event for event in events if event.event_type is dg.DagsterEventType.STEP_START)
    yield run
    list(events)


@contextmanager
def hours_off(hours: float) -> Iterator[None]:
    """The clock of another host."""
    right = time.time
    with patch.object(time, "time", lambda: right() + hours * 3600):
        yield
