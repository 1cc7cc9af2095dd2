"""Every training run, however launched and however ended, is one row a model that reads true.

On a deployment of its own, with a real daemon and webserver: each way is gone once, and its rows are read as the
recorder has written them, and again as a recorder with a defect would have.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from dagster import DagsterEventType as Event

from faults.launch_paths import defects
from faults.launch_paths import launches as ways
from faults.launch_paths.deployment import Deployment, deployed, served, until
from faults.launch_paths.launches import Launched
from faults.launch_paths.rows import wrong
from faults.table import Check, Fault, show, tried

TICKS = 120.0  # seconds in which the recorder must have written a row: four of its ticks

Way = Callable[[Deployment], Launched]


@dataclass(frozen=True)
class Path:
    """A way to launch or to end, what its rows must say, and the recorder that would get them wrong."""

    name: str
    expected: str
    way: Way
    planted: str
    defect: defects.Defect


PATHS = [
    Path(
        "weekly schedule, daemon down for two Sundays",
        "both weeks, oldest first, a row a model each",
        ways.by_schedule,
        "the week is the one before the run's tick",
        defects.told_as(defects.by_its_tick),
    ),
    Path(
        "dagster asset materialize, before the recorder's first tick",
        "one row, completed",
        ways.by_asset_materialize,
        "what ended before the first tick is skipped",
        defects.from_the_first_tick_on,
    ),
    Path(
        "dagster job backfill",
        "a row a model",
        ways.by_job_backfill,
        "models are read from the run's asset selection",
        defects.told_as(defects.by_asset_selection),
    ),
    Path(
        "launch in the UI",
        "one row, completed",
        ways.by_ui,
        "only runs of weekly_rlhf are watched",
        defects.only_runs(defects.of_the_weekly_job),
    ),
    Path(
        "dg launch",
        "one row, completed",
        ways.by_dg,
        "only runs of a code location are watched",
        defects.only_runs(defects.from_a_code_location),
    ),
    Path(
        "rlhf backfill --assets",
        "a row a week",
        ways.by_asset_backfill,
        "the week is read from the run's partition key",
        defects.by_partition_key,
    ),
    Path(
        "rlhf train",
        "a row a model",
        ways.by_rlhf_train,
        "a row is known by its run",
        defects.a_row_a_run,
    ),
    Path(
        "process killed, then the automatic retry",
        "one row, completed, attempt 2",
        ways.retried,
        "every run is a row of its own",
        defects.a_chain_a_run,
    ),
    Path(
        "process killed, no retry left",
        "failed, with an end",
        ways.crashed,
        "a training has ended when its step says so",
        defects.waiting_for_the_step,
    ),
    Path(
        "too few rows to train on",
        "completed, metrics.skipped, no path",
        ways.skipped,
        "observations are not read",
        defects.blind_to(Event.ASSET_OBSERVATION),
    ),
    Path(
        "refused by its gate",
        "completed, metrics.gate rejected with reasons",
        ways.refused,
        "the run decides how a training ended",
        defects.told_as(defects.as_its_run),
    ),
    Path(
        "rlhf train, Ctrl-C",
        "canceled",
        ways.train_canceled,
        "whatever a step raises is a failure",
        defects.stopped_is_failed,
    ),
    Path(
        "rlhf train, killed",
        "failed by the next tick",
        ways.train_killed,
        "a training has ended when its step says so",
        defects.waiting_for_the_step,
    ),
    Path(
        "while it runs",
        "started, without an end",
        ways.under_way,
        "only what has ended is told",
        defects.told_as(defects.ended_alone),
    ),
    Path(
        "terminated in the UI",
        "canceled",
        ways.terminated,
        "whatever a step raises is a failure",
        defects.stopped_is_failed,
    ),
]


def main() -> int:
    with deployed() as deployment:
        ways.prepare(deployment)
        gone: dict[Way, Launched | str] = {ways.by_asset_materialize: ways.by_asset_materialize(deployment)}
        ways.down_for_two_sundays(deployment)
        with served(deployment):
            return show("launch paths", tried(faults(deployment, gone)))


def faults(deployment: Deployment, gone: dict[Way, Launched | str]) -> Iterator[Fault]:
    for path in PATHS:
        yield Fault(
            path.name,
            path.expected,
            checked(deployment, path.way, gone),
            path.planted,
            lambda defect=path.defect: defects.recorded_with(deployment, defect),  # type: ignore[misc]
        )


def checked(deployment: Deployment, way: Way, gone: dict[Way, Launched | str]) -> Check:
    """Goes that way when it is asked first, and then says what is wrong with its rows."""

    def check() -> list[str]:
        if way not in gone:
            print(f"{way.__name__} ...", file=sys.stderr, flush=True)  # noqa: T201
            try:
                gone[way] = launched = way(deployment)
            except (AssertionError, TimeoutError) as error:
                gone[way] = str(error)
            else:
                with suppress(TimeoutError):
                    until("the recorder", lambda: not wrong(deployment, launched), TICKS)
        found = gone[way]
        return [found] if isinstance(found, str) else wrong(deployment, found)

    return check


if __name__ == "__main__":
    sys.exit(main())
