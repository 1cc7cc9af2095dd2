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

from faults import defects
from faults.attempts import PATIENCE, attempt, nothing, recorder_tick
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
        recorder_tick(self.prepare)
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
