"""Runs of this host whose process is gone, and runs of any host past their time limit: where no daemon runs, nobody
else would end them, and their slot in a pool would block the next run.
"""

import logging
import multiprocessing
import os
import socket
import time
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

log = logging.getLogger(__name__)

PROCESS = "rlhf/process"  # tag of a run: its host, its process, and itself, since a retry has its parent's tags
UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
LATE = 3600  # seconds past its time limit, at which a daemon would have ended a run long ago


def process_of_this() -> str:
    """Host and process, with which a run is tagged that is launched to run in this one."""
    return named(os.getpid())


def named(process: int) -> str:
    """This host, and that process by its number and the tick it began at: after a restart numbers soon come again."""
    return f"{socket.gethostname()} {process}-{began(process)}"


def began(process: int) -> str:
    """The tick of this host's clock since its boot; empty where there is no such process, or the system is no Linux."""
    try:
        status = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return ""
    return (
        status.rpartition(b")")[2].split()[19].decode()
    )  # field 22 of proc(5); the name in brackets may hold anything


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Tag the run of this step with its process: the one that started the step's own, where each step has one."""
    started_by, noted = multiprocessing.parent_process(), run.tags.get(PROCESS, "")
    launched_here = noted.split()[:2] == process_of_this().split()
    process = named(started_by.pid or 0) if started_by and not launched_here else process_of_this()
    if noted != (tag := f"{process} {run.run_id}"):
        instance.add_run_tags(run.run_id, {PROCESS: tag})


def end_orphans(instance: dg.DagsterInstance) -> None:
    """Fail the runs of this host whose process was killed and those long past their time limit; free what they hold.

    Where a code server has failed such a run first, the slot it still holds would block the daemon's retry for minutes.
    """
    storage = instance.event_log_storage
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY)):
        run = record.dagster_run
        if (why := must_end(instance, record)) and still_under_way(instance, run.run_id):
            log.warning("run %s: %s; its models are recorded as failed", run.run_id, why)
            instance.report_run_failed(run, why)
            storage.free_concurrency_slots_for_run(run.run_id)
    holders = {
        run for pool in storage.get_concurrency_keys() for run in storage.get_concurrency_info(pool).active_run_ids
    }
    for run_id in holders:
        holder = instance.get_run_by_id(run_id)
        if holder and holder.is_finished and process_is_gone(holder):
            storage.free_concurrency_slots_for_run(run_id)


def must_end(instance: dg.DagsterInstance, record: RunRecord) -> str | None:
    """Why that run, which counts as under way, cannot end by itself; one that only begins may have waited for days."""
    run = record.dagster_run
    if process_is_gone(run):
        return "the process of this run was killed"
    limit = time_limit(run) or instance.run_monitoring_max_runtime_seconds
    if not limit or record.start_time is None or run.tags.get(PROCESS, "").split()[:1] == [socket.gethostname()]:
        return None
    if time.time() < record.start_time + limit + LATE:
        return None
    return f"nobody has ended this run at its time limit of {limit:.0f} seconds, so the machine it ran on is gone"


def time_limit(run: dg.DagsterRun) -> float:
    """Seconds, by the run's own tag; 0 where there is none, or where it is no number."""
    said = run.tags.get(MAX_RUNTIME_SECONDS_TAG) or run.tags.get("dagster/max_runtime_seconds") or ""
    return float(said) if said.isdecimal() else 0.0


def process_is_gone(run: dg.DagsterRun) -> bool:
    """Whether it has noted a process of this host, which is no more."""
    noted = run.tags.get(PROCESS, "").split()
    return noted[:1] == [socket.gethostname()] and noted[2:] == [run.run_id] and not alive(noted[1])


def still_under_way(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether Dagster knows that run and it has not ended, as one may have since it was read, its process with it."""
    now = instance.get_run_by_id(run_id)
    return now is not None and not now.is_finished


def alive(process: str) -> bool:
    """Whether this host runs the process of that number and, where that is noted, of that beginning."""
    number, _, since = process.partition("-")
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return not since or began(int(number)) in (since, "")
