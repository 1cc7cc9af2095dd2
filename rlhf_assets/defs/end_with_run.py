"""A step ends with its run, also one that hears no signal, as in a hung driver or in a shell that nobody watches."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0  # between two looks at the run, and what a step then has to end by itself


@contextmanager
def ended_with_run(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Inside, this process is killed soon after its run has ended: canceled, past its time limit, or given up; and at
    once when the run's own process is gone.

    Dagster frees a pool's slot when a run has ended, not its device: two trainings would share it.
    """
    threading.Thread(target=kill_without_parent, name="ended with the run's process", daemon=True).start()
    done = threading.Event()
    watch = threading.Thread(target=kill_once_ended, args=(instance, run_id, done), name="ended with run", daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()


def kill_once_ended(instance: dg.DagsterInstance, run_id: str, done: threading.Event) -> None:
    while not done.wait(LOOK_SECONDS):
        if not has_ended(instance, run_id):
            continue
        if not done.wait(LOOK_SECONDS):
            log.critical("run %s has been ended, and this process, which still worked for it, ends too", run_id)
            os.kill(os.getpid(), signal.SIGKILL)


def kill_without_parent() -> None:
    """A step has a process of its own, which Dagster's run process would leave behind when it is killed."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    try:
        run = instance.get_run_by_id(run_id)
    except Exception:  # a database that is away for a while ends nobody's training
        return False
    return run is not None and run.is_finished
