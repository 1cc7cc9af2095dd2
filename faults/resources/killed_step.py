"""What the kernel does to the largest process when memory runs out: the step is killed, its run lives on."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from faults import defects
from faults.attempts import attempt, nothing
from faults.deployment import Deployment
from faults.kills.killed_from_outside import training
from faults.stages import GONE_ON, REWARD, compared, half_written, held_open, result

SAID = "the step's process was killed, most often because the machine had too little memory left"


@dataclass
class KilledStep:
    """`check` needs a reward model that was made before."""

    deployment: Deployment
    defect: Callable[[], None] = defects.crash_untold
    prepare: Callable[[], None] = nothing

    def check(self) -> list[str]:
        deployment = self.deployment
        reference = result(deployment, REWARD)
        with training(deployment) as run:
            os.kill(step_of(run.pid), signal.SIGKILL)
        wrong = half_written(deployment) + held_open()
        recorded = attempt(["runs", "--reconcile"], deployment.log, None, self.prepare)
        if recorded.code != 0:
            return [f"rlhf runs {recorded.how}"]
        if (error := last_error(deployment)) != SAID:
            wrong.append(f"its row says: {error}")
        retry = attempt(REWARD.command, deployment.log)
        if retry.code != 0:
            return [*wrong, f"the retry {retry.how}"]
        wrong += [] if GONE_ON in retry.said else ["the retry started anew"]
        return wrong + compared(result(deployment, REWARD), reference)

    @contextmanager
    def plant(self) -> Iterator[None]:
        self.prepare = self.defect
        try:
            yield
        finally:
            self.prepare = nothing


def step_of(run: int) -> int:
    """The process of the step that this run's process has started; the other one that it has counts semaphores."""
    children = Path(f"/proc/{run}/task/{run}/children").read_text().split()
    (step,) = [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
    return int(step)


def last_error(deployment: Deployment) -> str | None:
    """What rlhf_training_runs says of the run that started last."""
    with psycopg.connect(deployment.admin_url) as connection:
        query = "select metrics->>'error' from rlhf_training_runs order by start_time desc limit 1"
        return (connection.execute(query).fetchone() or (None,))[0]
