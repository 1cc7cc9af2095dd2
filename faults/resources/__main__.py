"""What runs out or goes away in the middle of the work, disk, memory, databases: `python -m faults.resources`.

Each ends in one line that says what to do, or mends itself, and the next attempt is as if nothing had been.
"""

import logging
import resource
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkProcess

from faults import defects
from faults.deployment import Deployment, deployed
from faults.resources.killed_step import KilledStep
from faults.resources.lacks import Lack, held, wait_for
from faults.stages import CLEANING, EVALUATION, EXTRACTION, REWARD, checkpoint_stands, folders, make
from faults.table import Fault, show, tried
from rlhf_assets.storage import embedded_postgres

ASKS_AGAIN = "Retrying failed database connection"  # says Dagster, each time


def disk_of(size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes, which fails as a full disk does, whoever runs this."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def restart_assistant(deployment: Deployment, process: ForkProcess) -> None:
    """While the first weeks are extracted and the others are not."""
    there = len(folders(deployment))
    with held(process, lambda: len(folders(deployment)) > there):
        embedded_postgres.stop(deployment.assistant)
        embedded_postgres.start(deployment.assistant)


def dagster_down(longer: float) -> Callable[[Deployment, ForkProcess], None]:
    """From a training's first checkpoint until it asks in vain, and for so many seconds or until it ends."""

    def meanwhile(deployment: Deployment, process: ForkProcess) -> None:
        with held(process, lambda: checkpoint_stands(deployment)):
            embedded_postgres.stop(deployment.dagster)
        wait_for(process, lambda: ASKS_AGAIN in deployment.log.read_text(errors="replace"))
        process.join(longer)
        embedded_postgres.start(deployment.dagster)

    return meanwhile


def faults(deployment: Deployment) -> Iterator[Fault]:
    make(deployment, EXTRACTION, CLEANING, "reward_dataset", REWARD, "judge_model", "policy_prompts", "sft_policy")
    make(deployment, "ppo_policy", EVALUATION)
    full, one_line = "the disk is full", "one line that says what to do; nothing half-written; a clean retry"
    yield fault(
        "disk full in extraction",
        one_line,
        Lack(deployment, EXTRACTION, full, defects.disk_unknown, disk_of(3000)),
    )
    yield fault(
        "disk full at a checkpoint of reward training",
        one_line,
        Lack(deployment, REWARD, "is the disk full", defects.bare_checkpoint, disk_of(80_000)),
    )
    yield fault(
        "disk full while an evaluation is published",
        one_line,
        Lack(deployment, EVALUATION, full, defects.drafts_stay, disk_of(8000)),
    )
    yield fault(
        "the assistant's database restarted in extraction",
        "it goes on with the weeks that miss, by itself",
        Lack(deployment, EXTRACTION, "", defects.no_reconnect, meanwhile=restart_assistant),
    )
    yield fault(
        "Dagster's database down while a reward model is trained",
        "the training goes on, and is recorded once the database is back",
        Lack(deployment, REWARD, "", defects.no_patience, meanwhile=dagster_down(2)),
    )
    yield fault(
        "Dagster's database down for minutes while a reward model is trained",
        "one line that says so; the retry makes the same",
        Lack(deployment, REWARD, "Dagster's database", defects.outage_untold, meanwhile=dagster_down(120)),
    )
    yield fault(
        "a training step killed for its memory",
        "its run fails, its row says why in one line, no slot is held; the retry goes on from the checkpoint",
        KilledStep(deployment),
    )


def fault(name: str, expected: str, row: Lack | KilledStep) -> Fault:
    return Fault(name, expected, row.check, defects.told(row.defect), row.plant)


def main() -> int:
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("faults").setLevel(logging.INFO)
    with deployed() as deployment:
        return show("resources", list(tried(faults(deployment))))


if __name__ == "__main__":
    sys.exit(main())
