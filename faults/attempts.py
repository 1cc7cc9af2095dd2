"""A command of the project in a process of its own, which can be killed at a moment that is chosen beforehand.

The process is forked from this one, where all is imported: what is killed is work, not the loading of libraries.
"""

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType

import dagster as dg

PATIENCE = 600.0  # seconds; a command that takes longer waits for something that does not come
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class AfterSeconds:
    """So long after the start."""

    seconds: float


@dataclass(frozen=True)
class AtFile:
    """Before the process does `event` ("open" for writing, "os.rename", "shutil.rmtree") to the `nth` path that ends as
    the expression `name` says, or `delay` seconds later."""

    event: str
    name: str
    nth: int = 1
    delay: float = 0.0


Moment = AfterSeconds | AtFile


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, negative where a signal ended it; None where it was given up. What it said."""

    code: int | None
    seconds: float
    said: str

    @property
    def how(self) -> str:
        """In words, for whoever did not expect it."""
        ended = "was still waiting" if self.code is None else f"ended with {self.code}"
        return f"{ended} after {self.seconds:.0f} s, saying {(self.said.strip().splitlines() or ['nothing'])[-1][:100]}"


def nothing() -> None:
    """What there is to prepare for a process of the project as it is."""


def start(
    arguments: Sequence[str], log: Path, moment: Moment | None = None, prepare: Callable[[], None] = nothing
) -> ForkProcess:
    """`rlhf` with these arguments, in a process and a process group of its own."""
    process = FORK.Process(target=child, args=(arguments, log, moment, prepare))
    process.start()
    return process


def finish(process: ForkProcess, log: Path, patience: float = PATIENCE) -> Ended:
    """Wait for its end, for so many seconds."""
    started = time.monotonic()
    process.join(patience)
    given_up = process.is_alive()
    if given_up:
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    return Ended(None if given_up else process.exitcode, time.monotonic() - started, log.read_text(errors="replace"))


def attempt(
    arguments: Sequence[str],
    log: Path,
    moment: Moment | None = None,
    prepare: Callable[[], None] = nothing,
    patience: float = PATIENCE,
) -> Ended:
    """Start it, kill it at that moment if it has not ended before, and wait for its end."""
    process = start(arguments, log, moment, prepare)
    if not isinstance(moment, AfterSeconds):
        return finish(process, log, patience)
    ended = finish(process, log, moment.seconds)
    return replace(ended, code=process.exitcode)


def child(arguments: Sequence[str], log: Path, moment: Moment | None, prepare: Callable[[], None]) -> None:
    """What the process does."""
    os.setsid()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    prepare()
    if isinstance(moment, AtFile):
        arm(moment)
    from rlhf_assets.cli import app

    sys.argv = ["rlhf", *arguments]
    app()


def arm(moment: AtFile) -> None:
    """Let this process kill itself at that moment: Python tells of each file before it touches it."""
    left = moment.nth

    def die(number: int = 0, frame: FrameType | None = None) -> None:
        os.killpg(0, signal.SIGKILL)

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event != moment.event or (event == "open" and "w" not in str(arguments[1])):
            return
        left -= re.search(f"{moment.name}$", str(arguments[0])) is not None
        if left == 0:
            left = -1
            if moment.delay:
                signal.setitimer(signal.ITIMER_REAL, moment.delay)
            else:
                die()

    signal.signal(signal.SIGALRM, die)
    sys.addaudithook(look)


def recorder_tick(prepare: Callable[[], None] = nothing) -> None:
    """One of the recorder's, as the daemon has it every half minute, in a process of its own."""
    process = FORK.Process(target=tick, args=(prepare,))
    process.start()
    process.join()


def tick(prepare: Callable[[], None]) -> None:
    from rlhf_assets.defs.resources import Artifacts, Database
    from rlhf_assets.defs.training_runs.recorder import training_run_recorder

    prepare()
    resources = {"database": Database(), "artifacts": Artifacts()}
    with (
        dg.DagsterInstance.get() as instance,
        dg.build_sensor_context(instance, resources=resources) as context,
    ):
        training_run_recorder.evaluate_tick(context)
