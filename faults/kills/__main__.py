"""SIGKILL at random moments of every stage, with tiny models: `python -m faults.kills [SEED]`.

No half-written artifact is ever visible, what was killed goes on from its checkpoint when it is started again, nobody
has to free its slot, and in the end there is the same as without any kill, byte for byte.
"""

import logging
import random
import sys
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table

from faults import defects
from faults.deployment import Deployment, deployed
from faults.kills.killed_from_outside import KilledFromOutside
from faults.kills.killed_stages import CHECKPOINT, OF_ARTIFACTS, PLACES, TRAINING, Kills
from faults.kills.retried_by_daemon import RetriedByDaemon
from faults.stages import CLEANING, EVALUATION, EXTRACTION, PPO, REWARD, make
from faults.table import Fault, show, tried

AT_RANDOM = 3  # kills of each stage beside those that are aimed
TRAINED = (CHECKPOINT, TRAINING, TRAINING, *OF_ARTIFACTS)
EXPECTED = "no half-written artifact; the retry waits for nobody, goes on from the checkpoint, makes the same"


def stages(deployment: Deployment, draw: random.Random) -> Iterator[Kills]:
    yield Kills(deployment, EXTRACTION, OF_ARTIFACTS, AT_RANDOM, defects.card_first, draw)
    yield Kills(deployment, CLEANING, OF_ARTIFACTS, AT_RANDOM, defects.card_in_place, draw)
    make(deployment, "reward_dataset")
    yield Kills(deployment, REWARD, TRAINED, AT_RANDOM, defects.no_optimizer_state, draw)
    yield Kills(deployment, REWARD, [CHECKPOINT], 0, defects.starts_anew, draw)
    make(deployment, "judge_model", "policy_prompts", "sft_policy")
    yield Kills(deployment, PPO, TRAINED, AT_RANDOM, defects.no_random_state, draw)
    yield Kills(deployment, EVALUATION, OF_ARTIFACTS, AT_RANDOM, defects.slot_held, draw)
    yield Kills(deployment, EVALUATION, OF_ARTIFACTS[:1], 0, defects.leftovers_stay, draw)


def faults(deployment: Deployment, stages: Iterable[Kills]) -> Iterator[Fault]:
    for one in stages:
        name = f"{len(one.aimed) + one.at_random} × SIGKILL in {one.stage.name}"
        yield Fault(name, EXPECTED, one.check, defects.told(one.defect), one.plant)
    outside = KilledFromOutside(deployment)
    yield Fault(
        "SIGKILL of `dagster asset materialize` in reward training",
        "the recorder's next tick ends the run and frees its slot; the retry goes on from the checkpoint",
        outside.check,
        defects.told(outside.defect),
        outside.plant,
    )
    by_daemon = RetriedByDaemon(deployment)
    yield Fault(
        "SIGKILL of a reward training that the daemon launched",
        "the daemon launches it again by itself; it goes on from the checkpoint and makes the same",
        by_daemon.check,
        "A Dagster that is told to launch nothing again",
        by_daemon.plant,
    )


def where_they_fell(done: list[Kills]) -> Table:
    table = Table("stage", *PLACES, "kills")
    for kills in done:
        table.add_row(kills.stage.name, *(str(kills.fell[place]) for place in PLACES), str(kills.fell.total()))
    total = [sum(kills.fell[place] for kills in done) for place in PLACES]
    table.add_row("all", *map(str, total), str(sum(total)))
    return table


def main(seed: int) -> int:
    done: list[Kills] = []

    def noted(stages: Iterable[Kills]) -> Iterator[Kills]:
        for kills in stages:
            done.append(kills)
            yield kills

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("faults").setLevel(logging.INFO)
    with deployed() as deployment:
        rows = list(tried(faults(deployment, noted(stages(deployment, random.Random(seed))))))  # noqa: S311
    Console(width=160).print(where_they_fell(done))
    return show(f"kills, seed {seed}", rows)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**6)))
