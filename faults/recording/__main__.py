"""Harms the write-back to rlhf_training_runs and looks whether a row is lost, double or moved back.

    python -m faults.recording

Databases are stopped, restored and killed for real, runs are real runs of small models, and where it says daemon it is
Dagster's own.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import dagster as dg
import psycopg

from faults.recording import defects
from faults.recording.runs import hours_off, retried, trained, under_way
from faults.recording.world import Row, World, ask, changes, daemon, differences, killed, servers, until
from faults.table import Fault, show, tried
from rlhf_assets.storage import embedded_postgres
from rlhf_assets_tests.commands.runner import rlhf
from rlhf_assets_tests.defs.small_models import decide, launch, ppo_policy, store

MANY = 200  # runs between two ticks

New = Callable[[], AbstractContextManager[World]]


def database_down(new: New) -> list[str]:
    with new() as world:
        expected = [trained(world)]
        world.settle()
        with under_way(world) as run:
            world.tick()
            embedded_postgres.stop(world.assistant)
        expected += [("sft", run.run_id, "completed")]
        for ticked in range(10):
            if ticked % 4 == 0:
                expected.append(trained(world, "failed" if ticked == 4 else "made"))
            world.tick()
        embedded_postgres.start(world.assistant)
        expected.append(trained(world))
        world.settle()
        return [*differences(world.rows(), expected), *silent(world, 10)]


def silent(world: World, times: int) -> list[str]:
    """What is wrong when a tick with a database down did not say so."""
    return [] if len(world.seen) == times else [f"{len(world.seen)} of {times} ticks failed"]


def decided_while_down(new: New) -> list[str]:
    with new() as world:
        run = launch(world.instance, ppo_policy)
        world.settle()
        embedded_postgres.stop(world.assistant)
        try:
            decide(world.instance)
        except Exception as error:
            world.seen.append(str(error))
        embedded_postgres.start(world.assistant)
        world.settle()
        gates = [row["metrics"]["gate"] for row in world.rows() if row["metrics"]["dagster_run_id"] == run.run_id]
        return [] if gates == ["demoted"] else [f"the policy's row says {gates}"]


def dagster_down(new: New) -> list[str]:
    """Its database goes away while the last of the runs is read."""
    with new() as world:
        expected = [trained(world)]
        world.settle()
        expected += [trained(world), trained(world, "failed"), trained(world)]
        last = expected[-1][1]

        def rows_of(instance: dg.DagsterInstance, run: dg.DagsterRun, *others: Any) -> Any:
            if run.run_id == last:
                embedded_postgres.stop(world.dagster)
            return right(instance, run, *others)

        right = defects.recorder.rows_of
        with patch.object(defects.recorder, "rows_of", rows_of):
            world.tick()
        world.tick()
        embedded_postgres.start(world.dagster)
        expected.append(trained(world))
        world.settle()
        return differences(world.rows(), expected)


def restarted_under_a_daemon(new: New) -> list[str]:
    """Both databases go away, Dagster's comes back first."""
    with new() as world, daemon(world) as process:
        expected = [trained(world)]
        until("the daemon's first row", world.rows)
        for home in (world.assistant, world.dagster):
            embedded_postgres.stop(home)
        time.sleep(3)
        embedded_postgres.start(world.dagster)
        expected.append(trained(world, "failed"))
        until("two ticks", partial(over, world, process, ticks(world) + 2))
        embedded_postgres.start(world.assistant)
        expected.append(trained(world))
        until("two ticks", partial(over, world, process, ticks(world) + 2))
        ended = [] if process.poll() is None else ["the daemon ended"]
        return [*ended, *differences(world.rows(), expected)]


def over(world: World, process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether the daemon has come to that tick, or to its own end."""
    return process.poll() is not None or ticks(world) >= number


def ticks(world: World) -> int:
    """Those of the daemon that have ended."""
    ((number,),) = world.dagster_says("select count(*) from job_ticks where status <> 'STARTED'")
    return int(number)


PAUSE = """
    create function pause() returns trigger language plpgsql as $$
    begin
        if new.instigator_body like '%"cursor": "%' then perform pg_sleep(3600); end if;
        return new;
    end $$;
    create trigger pause before insert or update on instigators for each row execute function pause()
"""
RESUME = """
    select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep';
    drop trigger pause on instigators
"""


def killed_before_the_cursor(new: New) -> list[str]:
    """Dagster's database holds the cursor back until the daemon is dead."""
    with new() as world:
        expected = [trained(world), trained(world, "failed")]
        world.dagster_says(PAUSE)
        with daemon(world) as process:
            until("rows", lambda: len(world.rows()) == len(expected))
            asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
            until("the cursor to be written", lambda: world.dagster_says(asleep))
            killed(process)
        world.dagster_says(RESUME)
        kept = """select 1 from instigators where instigator_body like '%"cursor": "%'"""
        if world.dagster_says(kept):
            raise RuntimeError("the daemon was killed too late: its cursor is there")
        expected.append(trained(world))
        with daemon(world):
            until("the next daemon's cursor", lambda: world.dagster_says(kept))
        return differences(world.rows(), expected)


def many_at_once(new: New) -> list[str]:
    with new() as world:
        world.settle()
        one = trained(world)
        failed = trained(world, "failed")
        more = [("sft", run_id, "completed") for run_id in world.copies(one[1], MANY - 20)]
        more += [("sft", run_id, "failed") for run_id in world.copies(failed[1], 18)]
        world.settle()
        return differences(world.rows(), [one, failed, *more])


def clocks(new: New) -> list[str]:
    """Of a host an hour ahead, one that is right, and one an hour behind; a retry runs on another than its first."""
    with new() as world:
        with hours_off(1):
            expected = [trained(world)]
            given_up = trained(world, "failed")
        world.settle()
        expected += [trained(world)]
        world.settle()
        with hours_off(-1):
            expected += [trained(world), retried(world, given_up[1])]
        world.settle()
        return differences(world.rows(), expected)


def seen_again(new: New) -> list[str]:
    """From the beginning five times, by daemons that know no cursor."""
    with new() as world:
        given_up = trained(world, "failed")
        expected = [trained(world), retried(world, given_up[1])]
        for _ in range(5):
            world.cursor = None
            world.settle()
        return differences(world.rows(), expected)


def told_late(new: New) -> list[str]:
    """What a slow tick had read before another one wrote how it ended."""
    from rlhf_assets.storage.database import connect, pipeline_url
    from rlhf_assets.training_runs.upsert import upsert

    with new() as world:
        given_up = trained(world, "failed")
        (failed,) = world.instance.get_runs(dg.RunsFilter(run_ids=[given_up[1]]))
        late = defects.recorder.rows_of(world.instance, failed, store())
        with under_way(world) as run:
            late += defects.recorder.rows_of(world.instance, run, store())
        expected = [("sft", run.run_id, "completed"), retried(world, given_up[1])]
        world.settle()
        with connect(pipeline_url()) as connection:
            upsert(connection, late)
        return differences(world.rows(), expected)


def restored(new: New) -> list[str]:
    """A copy of yesterday's database in its place: runs have started, ended, been retried and decided on since."""
    with new() as world:
        launch(world.instance, ppo_policy)
        given_up = trained(world, "failed")
        with under_way(world):
            world.settle()
            ask(world.assistant, f"create database yesterday_{world.name} template {world.name}")
        retried(world, given_up[1])
        decide(world.instance)
        trained(world)
        world.settle()
        before = world.rows()
        ask(
            world.assistant,
            f"drop database {world.name} with (force)",
            f"alter database yesterday_{world.name} rename to {world.name}",
        )
        if len(before) - len(world.rows()) != 1:
            raise RuntimeError("the backup does not lack what came after it")
        world.settle()
        return changes(before, world.rows())


def deleted(new: New) -> list[str]:
    with new() as world:
        launch(world.instance, ppo_policy)
        given_up = trained(world, "failed")
        retried(world, given_up[1])
        trained(world)
        decide(world.instance)
        world.settle()
        before: list[Row] = world.rows()
        with psycopg.connect(embedded_postgres.url(world.assistant, world.name)) as connection:
            connection.execute("delete from rlhf_training_runs where model_type = 'policy' or end_time < now()")
        if world.rows():
            raise RuntimeError("there are rows left")
        done = rlhf("runs", "--reconcile", "--json")
        return [
            *([f"exit code {done.exit_code}: {done.stderr}"] if done.exit_code else []),
            *changes(before, world.rows()),
        ]


ALL = "nothing lost, double or moved back"

CHECKS: list[tuple[str, str, Callable[[New], list[str]], str, Callable[[], defects.Planted]]] = [
    ("the assistant's database is down for ten ticks", ALL + "; each tick says so", database_down,
     "the cursor moves on when writing fails", defects.moves_on_when_it_fails),
    ("a policy is demoted meanwhile", "its row says so afterwards", decided_while_down,
     "decisions are not read", defects.does_not_read_decisions),
    ("Dagster's database restarts within a tick", ALL, dagster_down,
     "a run that cannot be read is passed over", defects.passes_over_what_it_cannot_read),
    ("both databases restart under a daemon", "it goes on by itself, " + ALL, restarted_under_a_daemon,
     "the cursor moves on when writing fails", partial(defects.in_daemon, "moves_on_when_it_fails")),
    ("the daemon is killed between upsert and cursor", ALL, killed_before_the_cursor,
     "ids are drawn at random", partial(defects.in_daemon, "draws_ids")),
    (f"{MANY} runs end between two ticks", ALL, many_at_once,
     "five runs a tick, cursor at the end", defects.takes_five_and_goes_to_the_end),
    ("hosts' clocks are an hour ahead and behind", ALL, clocks,
     "the cursor is a time", defects.goes_by_the_hosts_clocks),
    ("the same runs are seen five times", ALL, seen_again,
     "ids are drawn at random", defects.draws_ids),
    ("a tick writes late what it read before the end", ALL, told_late,
     "a row may move back", defects.writes_what_it_is_told_last),
    ("the assistant's database is restored from yesterday", "the table is as before", restored,
     "nobody looks whether what was written is there", defects.trusts_the_database),
    ("rows are deleted by hand, then `rlhf runs --reconcile`", "the table is as before", deleted,
     "it reads only what is new", defects.reconciles_only_news),
]  # fmt: skip


def faults(new: New) -> list[Fault]:
    """The rows to be."""
    return [Fault(name, must, partial(check, new), defect, plant) for name, must, check, defect, plant in CHECKS]


def main() -> int:
    logging.disable(logging.ERROR)  # of the runs that are to fail
    with servers() as new:
        return show("the write-back", tried(faults(new)))


if __name__ == "__main__":
    sys.exit(main())
