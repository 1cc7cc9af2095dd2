"""Whether PPO learns, and what too much of it does, by the true taste: `python -m benchmarks.ppo_learning`.

Four seeds of PPO from the small policy (`benchmarks.small_world`), with the project's settings but for what a small
policy needs: more rounds at a higher rate. The judge chooses the round that is kept, as it always does. Policies are
compared with SFT on the test side's prompts; intervals are over seeds and prompts.

Each seed is trained once more for too long on purpose: twice the rounds at three times the rate, and no price on
KL. The round that the judge chose there and the last one are held against each other. Gold has no part in the choice.

Gold and proxy (the reward model) of each round's replies are held against d, the square root of their KL, as gains
over SFT in deviations of SFT's replies. d (a - b log d) is fitted to them by least squares (Gao 2023, for RL); R2 is of
single rounds, each a mean over its replies and as noisy. A seed has collapsed when SFT's replies are better by gold or
it stops half as often. A finished seed is kept under `.rlhf/benchmarks` and not made again.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept_cells import cell
from benchmarks.ppo_runs import SETTINGS, compare, curve, difference, made_of, train, wins
from benchmarks.small_world import World, small_world
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.storage.home import home

SEEDS = (0, 1, 2, 3)
FOLLOWED = ("score", "reward", "kl", "length", "stop_rate", "entropy", "proxy", "gold")


def too_long(settings: PpoSettings) -> PpoSettings:
    """Those with which a policy follows its reward model beyond what that knows."""
    changed = {
        "updates": 2 * settings.updates,
        "learning_rate": 3 * settings.learning_rate,
        "kl_coefficient": 0.0,
        "collapse_kl": 1e6,
    }
    return settings.model_copy(update=changed)


def one_seed(world: World, settings: PpoSettings, compute: Compute) -> dict[str, Any]:
    """A training and what it came to: the policy of the judge's round, `ppo`, and of the last one, held against SFT."""
    reward, judge = (RewardScorer(folder, compute) for folder in (world.reward, world.judge))
    with tempfile.TemporaryDirectory() as name:
        folders = {policy: Path(name) / policy for policy in ("ppo", "last")}
        outcome = train(world, reward.score, settings, compute, folders["ppo"], judge=judge, last=folders["last"])
        compared = compare(world, folders, judge, compute)
    return {name: outcome[name] for name in ("history", "start", "judged", "chosen_update", "seconds")} | compared


def scores(cells: list[dict[str, Any]], policy: str, scorer: str) -> list[list[float]]:
    return [one["scores"][policy][scorer] for one in cells]


def won(cells: list[dict[str, Any]], ours: str, theirs: str) -> dict[str, Any]:
    return {
        scorer: wins(scores(cells, ours, scorer), scores(cells, theirs, scorer)).as_dict()
        for scorer in ("gold", "judge", "gold_of_steps")
    }


def collapsed(one: dict[str, Any]) -> bool:
    ours, theirs = one["policies"]["ppo"], one["policies"]["sft"]
    return ours["gold"]["value"] < theirs["gold"]["value"] or ours["stop_rate"] < theirs["stop_rate"] / 2


def over_updates(cells: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """Each update's figures, means over the seeds."""
    rounds = zip(*(one["history"] for one in cells), strict=True)
    return [
        {"what": what, "update": number, **{name: float(np.mean([one[name] for one in of])) for name in FOLLOWED}}
        for number, of in enumerate(rounds, start=1)
    ]


def report(seeds: list[int], usual: list[dict[str, Any]], long: list[dict[str, Any]]) -> dict[str, Any]:
    value = won(usual, "ppo", "sft")
    by_seed = [
        {
            "what": "PPO over SFT",
            "seed": seed,
            **won([one], "ppo", "sft"),
            **{name: one["policies"]["ppo"][name] for name in ("kl", "length", "stop_rate", "repetition")},
            "chosen_update": one["chosen_update"],
            "collapsed": collapsed(one),
            "seconds": one["seconds"],
        }
        for seed, one in zip(seeds, usual, strict=True)
    ]
    chosen, last = (scores(long, policy, "gold") for policy in ("ppo", "last"))
    overdone = [
        {
            "what": "too long: the judge's round over the last one",
            "seed": seed,
            "chosen_update": one["chosen_update"],
            "gold": {policy: one["policies"][policy]["gold"]["value"] for policy in ("sft", "ppo", "last")},
            "kl": {policy: one["policies"][policy]["kl"] for policy in ("ppo", "last")},
            "won": won([one], "ppo", "last"),
            "judged": one["judged"],
        }
        for seed, one in zip(seeds, long, strict=True)
    ]
    return {
        "name": "ppo_learning",
        "ours": "PPO",
        "peer": "SFT",
        "ratio": value["gold"]["value"] / (1 - value["gold"]["value"]),
        "unit": "share of held-out prompts won by gold, over seeds; ratio is the odds",
        "value": value["gold"]["value"],
        "interval": [value["gold"]["low"], value["gold"]["high"]],
        "seeds": seeds,
        "rows": [
            {"what": "PPO over SFT, all seeds", **value, "collapsed": sum(row["collapsed"] for row in by_seed)},
            *by_seed,
            *(
                {"what": f"gain = d (a - b log d), {name}", "of": scorer, **curve(cells, scorer)}
                for name, cells in (("PPO", usual), ("too long", long))
                for scorer in ("gold", "proxy")
            ),
            {
                "what": "too long: the judge's round over the last one, all seeds",
                "gold_difference": difference(chosen, last).as_dict(),
                "won": won(long, "ppo", "last"),
            },
            *overdone,
            *over_updates(usual, "PPO"),
            *over_updates(long, "too long"),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--updates", type=int, default=SETTINGS.updates, help="rounds; twice as many are too long")
    asked = parser.parse_args()
    show_progress()
    compute, kept = choose_compute(), home() / "benchmarks" / "ppo_learning"
    world = small_world(compute)
    usual: list[dict[str, Any]] = []
    long: list[dict[str, Any]] = []
    for seed in asked.seeds:
        own = SETTINGS.model_copy(update={"seed": seed, "updates": asked.updates})
        for name, settings, cells in (("usual", own, usual), ("too_long", too_long(own), long)):
            run = partial(one_seed, world, settings, compute)
            cells.append(cell(kept / f"{name}-{seed}.json", made_of(world, settings, compute), run))
    print(json.dumps(report(list(asked.seeds), usual, long)))  # noqa: T201


if __name__ == "__main__":
    main()
