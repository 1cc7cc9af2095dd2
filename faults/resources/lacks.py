"""A stage that lacks something it needs: what it says, what it leaves, and whether it goes well the next time."""

import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess

from faults.attempts import PATIENCE, Ended, attempt, finish, nothing, recorder_tick, start
from faults.deployment import Deployment
from faults.stages import (
    GONE_ON,
    Stage,
    checkpoint_files,
    checkpoint_stands,
    compared,
    drafts,
    half_written,
    held_open,
    result,
)

log = logging.getLogger(__name__)


@dataclass
class Lack:
    """`check` runs the stage, which was made before, with `lack` prepared in its process and `meanwhile` done to it.

    It must fail with one line that `says` so, or, where that is empty, mend itself.
    """

    deployment: Deployment
    stage: Stage
    says: str
    defect: Callable[[], None]
    lack: Callable[[], None] = nothing
    meanwhile: Callable[[Deployment, ForkProcess], None] | None = None
    prepare: Callable[[], None] = nothing
    reference: dict[str, str] = field(default_factory=dict)

    def check(self) -> list[str]:
        deployment = self.deployment
        self.reference = self.reference or result(deployment, self.stage)
        wrong = self.not_as_expected(self.lacking()) + half_written(deployment)
        log.info("%s: %s", self.stage.name, "; ".join(wrong) or "as expected")
        if drafts(deployment):
            wrong.append("a draft is left")
        if self.prepare is not nothing and wrong:
            return wrong
        if self.says:
            kept, retry = checkpoint_stands(deployment), attempt(self.stage.command, deployment.log)
            if retry.code != 0:
                return [*wrong, f"the retry {retry.how}"]
            if kept and GONE_ON not in retry.said:
                wrong.append("the retry started anew")
        wrong += compared(result(deployment, self.stage), self.reference)
        wrong += ["a checkpoint is left"] if checkpoint_files(deployment) else []
        return wrong + held_open()

    @contextmanager
    def plant(self) -> Iterator[None]:
        self.prepare = self.defect
        try:
            yield
        finally:
            self.prepare = nothing
            recorder_tick()  # a run that the defect has left open would keep the next one waiting
            for folder in [*drafts(self.deployment), self.deployment.checkpoints]:
                shutil.rmtree(folder, ignore_errors=True)

    def lacking(self) -> Ended:
        def prepare() -> None:
            self.prepare()
            self.lack()

        process = start(self.stage.command, self.deployment.log, None, prepare)
        if self.meanwhile:
            self.meanwhile(self.deployment, process)
        return finish(process, self.deployment.log)

    def not_as_expected(self, ended: Ended) -> list[str]:
        if not self.says:
            return [] if ended.code == 0 else [f"it did not mend itself but {ended.how}"]
        if ended.code != 1:
            return [f"it did not fail but {ended.how}"]
        if "Traceback" in ended.said or "Stack Trace" in ended.said:
            return [f"it failed with a traceback and {ended.how}"]
        return [] if re.search(self.says, ended.said) else [f"it {ended.how}"]


@contextmanager
def held(process: ForkProcess, until: Callable[[], bool]) -> Iterator[None]:
    """Stand the process still from that moment on, so that what is done meanwhile falls into the middle of its work."""
    wait_for(process, until)
    if process.is_alive():
        os.kill(process.pid or 0, signal.SIGSTOP)
    try:
        yield
    finally:
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGCONT)


def wait_for(process: ForkProcess, moment: Callable[[], bool]) -> None:
    """Until that moment or the process's end."""
    deadline = time.monotonic() + PATIENCE
    while not moment() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
