"""Runs of this host whose process is gone: nobody else would end them, and their slot in a pool would block the next
run for a day.
"""

import logging
import multiprocessing
import os
import socket

import dagster as dg

log = logging.getLogger(__name__)

PROCESS = "rlhf/process"  # tag of a run: its host, its process, and itself, since a retry has its parent's tags
UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def process_of_this() -> str:
    """Host and process, with which a run is tagged that is launched to run in this one."""
    return f"{socket.gethostname()} {os.getpid()}"


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Tag the run of this step with its process: the one that started the step's own, where each step has one."""
    started_by, noted = multiprocessing.parent_process(), run.tags.get(PROCESS, "")
    launched_here = noted.split()[:2] == process_of_this().split()
    process = f"{socket.gethostname()} {started_by.pid}" if started_by and not launched_here else process_of_this()
    if noted != (tag := f"{process} {run.run_id}"):
        instance.add_run_tags(run.run_id, {PROCESS: tag})


def end_orphans(instance: dg.DagsterInstance) -> None:
    """Fail the runs of this host whose process was killed, and free what they hold.

    Where a code server has failed such a run first, the slot it still holds would block the daemon's retry for minutes.
    """
    storage = instance.event_log_storage
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        if process_is_gone(run) and still_under_way(instance, run):
            log.warning("run %s was killed before it ended; its models are recorded as failed", run.run_id)
            instance.report_run_failed(run, "the process of this run was killed")
            storage.free_concurrency_slots_for_run(run.run_id)
    holders = {
        run for pool in storage.get_concurrency_keys() for run in storage.get_concurrency_info(pool).active_run_ids
    }
    for run_id in holders:
        holder = instance.get_run_by_id(run_id)
        if holder and holder.is_finished and process_is_gone(holder):
            storage.free_concurrency_slots_for_run(run_id)


def process_is_gone(run: dg.DagsterRun) -> bool:
    """Whether it has noted a process of this host, which is no more."""
    noted = run.tags.get(PROCESS, "").split()
    return noted[:1] == [socket.gethostname()] and noted[2:] == [run.run_id] and not alive(int(noted[1]))


def still_under_way(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run is still under way: since it was read it may have ended by itself, and its process with it."""
    now = instance.get_run_by_id(run.run_id)
    return now is not None and not now.is_finished


def alive(process: int) -> bool:
    """Whether this host runs a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
