"""A training that the daemon has launched, killed with its run: the daemon launches it again by itself."""

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

from faults.attempts import PATIENCE, attempt
from faults.deployment import Deployment
from faults.stages import GONE_ON, REWARD, checkpoint_stands, compared, half_written, held_open, result

CODE = Path(__file__).parents[2]
LAUNCH = [argument for argument in REWARD.command if argument != "--local"]
NO_RETRY = 60  # seconds after a run's end in which the daemon should have launched it again; it looks every few


@dataclass
class RetriedByDaemon:
    """`check` needs a reward model that was made without any kill."""

    deployment: Deployment

    def check(self) -> list[str]:
        deployment = self.deployment
        reference = result(deployment, REWARD)
        with daemon(deployment), dg.DagsterInstance.get() as instance:
            until(lambda: attempt(LAUNCH, deployment.log).code == 0)  # it refuses as long as there is no daemon
            until(lambda: checkpoint_stands(deployment))
            (killed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            kill_with_children(int(killed.tags["rlhf/process"].split()[1].partition("-")[0]))
            until(lambda: ended(instance, killed.run_id))
            if wrong := half_written(deployment):
                return wrong
            if not (again := retry_of(instance, killed.run_id)):
                return ["the daemon did not launch it again"]
            until(lambda: ended(instance, again))
            if not (run := instance.get_run_by_id(again)) or not run.is_success:
                return ["the daemon's retry failed"]
            said = any(GONE_ON in entry.message for entry in instance.all_logs(again))
        wrong = [] if said else ["the retry started anew"]
        return wrong + compared(result(deployment, REWARD), reference) + held_open()

    @contextmanager
    def plant(self) -> Iterator[None]:
        """A Dagster that is told to launch nothing again."""
        configuration = Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml"
        whole = configuration.read_text()
        configuration.unlink()
        configuration.write_text(whole.replace("max_retries: 1", "max_retries: 0"))
        try:
            yield
        finally:
            configuration.write_text(whole)


@contextmanager
def daemon(deployment: Deployment) -> Iterator[None]:
    """`dagster-daemon run`, with the code server that it starts."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(CODE / "workspace.yaml")]
    with (deployment.folder / "daemon.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def kill_with_children(process: int) -> None:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    for one in [process, *map(int, children)]:
        os.kill(one, signal.SIGKILL)


def ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def retry_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """The run that the daemon launches in its place, None where none comes."""
    deadline = time.monotonic() + NO_RETRY
    while time.monotonic() < deadline:
        for run in instance.get_runs(limit=5):
            if run.parent_run_id == run_id:
                return run.run_id
        time.sleep(1)
    return None


def until(moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not moment():
        if time.monotonic() > deadline:
            raise RuntimeError("the moment never came")
        time.sleep(0.2)
