"""One week's models asked for by schedule, UI, backfill and shell at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from rlhf_assets.commands.instance import CONFIGURATION
from rlhf_assets.errors import RlhfError

WEEK, NEXT = "2026-03-01", "2026-03-08"
STARTED = dg.DagsterRunStatus.STARTED
MODEL = dg.AssetKey("sft_policy")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """With the project's own queue and pools."""
    own = {"concurrency": yaml.safe_load(CONFIGURATION.read_text())["concurrency"]}
    with instance_for_test(overrides=own, temp_dir=str(tmp_path)) as instance:
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        yield instance


def by_schedule(week: str) -> dict[str, str]:
    """Also from the UI and from a shell."""
    return {"dagster/partition": week}


def by_backfill(week: str, number: str) -> dict[str, str]:
    span = {"dagster/asset_partition_range_start": week, "dagster/asset_partition_range_end": week}
    return {**span, "dagster/backfill": number}


def queued(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    where = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("rlhf_assets"), "__repository__")
    origin = RemoteJobOrigin(where, "weekly_rlhf")
    status = dg.DagsterRunStatus.QUEUED
    return create_run_for_test(instance, status=status, tags=tags, remote_job_origin=origin).run_id


def let_through(instance: dg.DagsterInstance) -> list[str]:
    """The queued runs that the daemon would launch now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
    return [run.run_id for run in runs]


def test_the_queue_lets_one_run_of_a_week_through_also_beside_one_from_a_shell(instance: dg.DagsterInstance) -> None:
    first, _, other = (queued(instance, by_schedule(week)) for week in (WEEK, WEEK, NEXT))
    assert let_through(instance) == [first, other]
    create_run_for_test(instance, status=STARTED, tags=by_schedule(WEEK))
    assert let_through(instance) == [other]


def test_the_queue_lets_one_backfill_of_a_week_through_and_of_a_backfill_one_week(instance: dg.DagsterInstance) -> None:
    asked = [(WEEK, "one"), (NEXT, "one"), (WEEK, "two"), (NEXT, "two")]
    runs = [queued(instance, by_backfill(*each)) for each in asked]
    assert let_through(instance) == [runs[0], runs[3]]


@pytest.mark.parametrize("tags", [by_schedule(WEEK), by_backfill(WEEK, "one")])
@pytest.mark.parametrize("selection", [None, frozenset({MODEL})])
def test_a_shell_does_not_train_a_week_that_is_being_trained(
    instance: dg.DagsterInstance, tags: dict[str, str], selection: frozenset | None
) -> None:
    from rlhf_assets.defs.automation.launch import materialize_weeks

    run = create_run_for_test(instance, status=STARTED, tags=tags, asset_selection=selection)
    with pytest.raises(RlhfError, match=f"run {run.run_id} has been training week {WEEK} since .*; wait for it"):
        materialize_weeks(instance, ["reward_dataset", "sft_policy"], [WEEK])
    assert instance.get_runs_count() == 1


def test_what_is_none_of_its_models_and_weeks_stops_no_shell(instance: dg.DagsterInstance) -> None:
    from rlhf_assets.defs.automation.under_way import keep_apart

    create_run_for_test(instance, status=STARTED, tags=by_schedule(NEXT))
    create_run_for_test(instance, status=dg.DagsterRunStatus.SUCCESS, tags=by_schedule(WEEK))
    others = frozenset({dg.AssetKey("clean_feedback"), dg.AssetKey("reward_model")})
    create_run_for_test(instance, status=STARTED, tags=by_schedule(WEEK), asset_selection=others)
    keep_apart(instance, [MODEL], [WEEK])
    keep_apart(instance, [dg.AssetKey("clean_feedback")], [WEEK])


def test_a_pool_that_another_run_has_taken_is_named_with_that_run(instance: dg.DagsterInstance) -> None:
    from rlhf_assets.defs.automation.under_way import taken_pools

    storage, needed = instance.event_log_storage, ["gpu"]
    storage.set_concurrency_slots("gpu", 1)
    assert taken_pools(instance, needed) == []
    run = create_run_for_test(instance, tags={"dagster/partition": "2026-11-15"}).run_id
    storage.claim_concurrency_slot("gpu", run, "ppo_policy")
    assert taken_pools(instance, needed) == [
        f"the pool gpu is taken by ppo_policy of 2026-11-15 (run {run}) until that ends"
    ]
    assert taken_pools(instance, []) == taken_pools(instance, ["another"]) == []
    storage.set_concurrency_slots("gpu", 2)
    assert taken_pools(instance, needed) == []


TRAINS = """
import json, time
import dagster as dg

@dg.asset(pool="gpu")
def sft_policy() -> None:
    began = time.time()
    time.sleep(2)
    print(json.dumps([began, time.time()]), flush=True)

with dg.DagsterInstance.get() as instance:
    dg.materialize([sft_policy], instance=instance)
"""


@pytest.mark.usefixtures("instance")
def test_two_shells_at_once_train_one_after_the_other() -> None:
    command = [sys.executable, "-c", TRAINS]
    shells = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]  # noqa: S603
    spans = sorted(json.loads(shell.communicate(timeout=300)[0]) for shell in shells)
    assert spans[0][1] <= spans[1][0]
