"""A training that plain `dagster` runs, of which this project knows nothing beforehand, killed with all it started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from faults import defects
from faults.attempts import FORK, PATIENCE, attempt, nothing
from faults.deployment import Deployment
from faults.stages import GONE_ON, REWARD, checkpoint_stands, compared, half_written, held_open, result
from rlhf_assets_tests.defs.world import LAST

MATERIALIZE = [
    sys.executable, "-m", "dagster", "asset", "materialize", "-m", "rlhf_assets.definitions",
    "--select", "reward_model", "--partition", LAST,
]  # fmt: skip


@dataclass
class KilledFromOutside:
    """`check` needs a reward model that was made without any kill."""

    deployment: Deployment
    defect: Callable[[], None] = defects.slot_held
    prepare: Callable[[], None] = nothing

    def check(self) -> list[str]:
        deployment = self.deployment
        reference = result(deployment, REWARD)
        with training(deployment) as process:
            os.killpg(process.pid, signal.SIGKILL)
        self.tick()
        wrong = half_written(deployment) + held_open()
        retry = attempt(REWARD.command, deployment.log)  # in any case: its checkpoint is in others' way
        if wrong:
            return wrong
        if retry.code != 0:
            return [f"the retry {retry.how}"]
        wrong = [] if GONE_ON in retry.said else ["the retry started anew"]
        return wrong + compared(result(deployment, REWARD), reference)

    @contextmanager
    def plant(self) -> Iterator[None]:
        self.prepare = self.defect
        try:
            yield
        finally:
            self.prepare = nothing

    def tick(self) -> None:
        """One of the recorder's, as the daemon has it every half minute."""
        process = FORK.Process(target=tick, args=(self.prepare,))
        process.start()
        process.join()


@contextmanager
def training(deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster asset materialize` of the reward model, once it has kept a checkpoint; its end afterwards."""
    with deployment.log.open("w") as log:
        process = subprocess.Popen(MATERIALIZE, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    deadline = time.monotonic() + PATIENCE
    while not checkpoint_stands(deployment):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no checkpoint came of it: {Path(deployment.log).read_text()[-2000:]}")
        time.sleep(0.01)
    try:
        yield process
    finally:
        process.wait(PATIENCE)


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
