"""A step that hears no signal, in a process of its own, once its run has been ended."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from dagster._core.test_utils import instance_for_test

from rlhf_assets.defs.end_with_run import ended_with_run

DEAF = """
import signal, sys, time
import dagster as dg
from rlhf_assets.defs import end_with_run
from rlhf_assets.defs.resources import ComputeResource

end_with_run.LOOK_SECONDS = 0.2

@dg.asset
def reward_model(context: dg.AssetExecutionContext, compute: ComputeResource) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    print(context.run.run_id, flush=True)
    time.sleep(float(sys.argv[1]))

with dg.DagsterInstance.get() as instance:
    dg.materialize([reward_model], instance=instance, resources={"compute": ComputeResource(device="cpu")})
time.sleep(1.5)  # a look or two after its end
print("done", flush=True)
"""


@pytest.mark.parametrize(("ended", "seconds"), [("failed", 600), ("canceled", 600), ("not at all", 2)])
def test_a_step_that_is_deaf_is_killed_once_its_run_has_been_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str, seconds: float
) -> None:
    with instance_for_test(temp_dir=str(tmp_path)) as instance:
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        command = [sys.executable, "-c", DEAF, str(seconds)]
        step = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert step.stdout is not None
        run = instance.get_run_by_id(step.stdout.readline().strip())
        assert run is not None
        if ended == "failed":
            instance.report_run_failed(run, "Exceeded maximum runtime of 1 seconds.")
        elif ended == "canceled":
            instance.report_run_canceled(run)
        said, _ = step.communicate(timeout=120)
        killed = ended != "not at all"
        assert (step.returncode, said) == ((-signal.SIGKILL, "") if killed else (0, "done\n"))


def worked(ready: Connection) -> None:
    """A step's process."""
    with instance_for_test() as instance, ended_with_run(instance, "a run"):
        ready.send(os.getpid())
        time.sleep(600)


def started(ready: Connection) -> None:
    """A run's process, which starts the step's."""
    step = multiprocessing.get_context("spawn").Process(target=worked, args=(ready,))
    step.start()
    step.join()


def test_a_step_does_not_outlive_the_process_of_its_run() -> None:
    ours, theirs = multiprocessing.Pipe()
    run = multiprocessing.get_context("spawn").Process(target=started, args=(theirs,))
    run.start()
    step = ours.recv()
    run.kill()
    run.join()
    deadline = time.monotonic() + 60
    while running(step) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(step)


def running(process: int) -> bool:
    """Whether it is there and no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
