"""One training by several processes on one machine, one a GPU: how they are started, and what each one runs.

torchrun starts them, as `accelerate launch` does by itself for GPUs but not for CPUs; accelerate joins them. What goes
in and comes out lies in a folder: whatever the training reads, job.json, and then outcome.json or error.txt.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rlhf_assets.compute import Compute, out_of_memory
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.full_disk import full_disk

log = logging.getLogger(__name__)

JOB, OUTCOME, ERROR = "job.json", "outcome.json", "error.txt"


def run_together(processes: int, module: str, job: Path, told: dict[str, Any], compute: Compute) -> dict[str, Any]:
    """Have `processes` run `python -m module job` on what they are `told`, and log what the main one says.

    Returns what that one's `take_part` did. Raises RlhfError where theirs does, where there are fewer GPUs than
    processes, and where one of them crashed. They end when this process does.
    """
    if compute.device != "cpu" and processes > (there := torch.cuda.device_count()):
        raise RlhfError(f"{processes} processes need a GPU each and {there} are there; lower processes of compute")
    (job / JOB).write_text(json.dumps(told))
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", *torchrun, "-m", module, str(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"OMP_NUM_THREADS": threads, **os.environ},
    ) as started:
        for line in started.stdout or ():
            log.info(line.rstrip())
    if (job / OUTCOME).exists():
        return json.loads((job / OUTCOME).read_text())
    if (job / ERROR).exists():
        raise RlhfError((job / ERROR).read_text())
    raise RlhfError(
        f"one of the {processes} processes that train the model crashed, the log may say why; "
        "the same run started again goes on from its last checkpoint"
    )


def take_part(job: Path, train: Callable[[Path, dict[str, Any]], dict[str, Any]]) -> None:
    """What each of the processes runs: `train` of the folder and what they are told there."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    rank = int(os.environ["RANK"])
    if rank == 0:
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        logging.getLogger("rlhf_assets").setLevel(logging.INFO)
    try:
        outcome = train(job, json.loads((job / JOB).read_text()))
    except Exception as error:
        told = error if isinstance(error, RlhfError) else out_of_memory(error) or full_disk(error)
        if told is None:
            raise
        whole = job / f"{ERROR}.{rank}"
        whole.write_text(str(told))
        whole.replace(job / ERROR)
        sys.exit(1)
    if rank == 0:
        (job / OUTCOME).write_text(json.dumps(outcome))


def end_with_parent() -> None:
    """The pipe that is this process's stdin ends when the one that started it does, even if that was killed."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
