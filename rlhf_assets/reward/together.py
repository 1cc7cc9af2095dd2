"""A reward model trained by several processes on one machine, one a GPU: how they are started, and what each one runs.

torchrun starts them, as `accelerate launch` does by itself for GPUs but not for CPUs; accelerate joins them. What goes
in and comes out lies in a folder beside the model's: frames, job.json, and then outcome.json or error.txt.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.inputs import TEXTS
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import TrainingOutcome, train_reward

log = logging.getLogger(__name__)

LEARNT = [*TEXTS, "kind", "score", "is_thumb", "user_id", "inverse_propensity"]  # the columns that training reads
JOB, OUTCOME, ERROR = "job.json", "outcome.json", "error.txt"


def train_together(
    processes: int,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    settings: RewardSettings,
    compute: Compute,
    folder: Path,
    checkpoint: Path | None = None,
) -> TrainingOutcome:
    """`train_reward` in so many processes, in this one where it is one; the weights are the same up to rounding.

    Raises RlhfError where `train_reward` does, where there are fewer GPUs than processes, and where one of them
    crashed. They end when this process does.
    """
    if processes == 1:
        return train_reward(train, validation, settings, compute, folder, checkpoint=checkpoint)
    if compute.device != "cpu" and processes > (there := torch.cuda.device_count()):
        raise RlhfError(f"{processes} processes need a GPU each and {there} are there; lower processes of compute")
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        job = Path(beside)
        for name, votes in (("train", train), ("validation", validation)):
            votes[votes.columns.intersection(LEARNT)].to_parquet(job / f"{name}.parquet")
        told = {
            "settings": settings.model_dump(),
            "compute": asdict(compute),
            "folder": str(folder.absolute()),
            "checkpoint": str(checkpoint.absolute()) if checkpoint else None,
        }
        (job / JOB).write_text(json.dumps(told))
        run(processes, job)
        if (job / OUTCOME).exists():
            return TrainingOutcome(**json.loads((job / OUTCOME).read_text()))
        if (job / ERROR).exists():
            raise RlhfError((job / ERROR).read_text())
    raise RlhfError(
        f"one of the {processes} processes that train the model crashed, the log may say why; "
        "the same run started again goes on from its last checkpoint"
    )


def run(processes: int, job: Path) -> None:
    """Start them, and log what the main one says until all have ended."""
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-m", *torchrun, "-m", __name__, str(job)]
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as started:
        for line in started.stdout or ():
            log.info(line.rstrip())


def main(job: Path) -> None:
    """What each of the processes runs."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    rank = int(os.environ["RANK"])
    if rank == 0:
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        logging.getLogger("rlhf_assets").setLevel(logging.INFO)
    told = json.loads((job / JOB).read_text())
    train, validation = (pd.read_parquet(job / f"{name}.parquet") for name in ("train", "validation"))
    try:
        outcome = train_reward(
            train,
            validation,
            RewardSettings(**told["settings"]),
            Compute(**told["compute"]),
            Path(told["folder"]),
            checkpoint=Path(told["checkpoint"]) if told["checkpoint"] else None,
        )
    except RlhfError as error:
        whole = job / f"{ERROR}.{rank}"
        whole.write_text(str(error))
        whole.replace(job / ERROR)
        sys.exit(1)
    if rank == 0:
        (job / OUTCOME).write_text(json.dumps(asdict(outcome)))


def end_with_parent() -> None:
    """The pipe that is this process's stdin ends when the one that started it does, even if that was killed."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
