"""Our PPO against TRL's, the last that had it: `python -m benchmarks.ppo_speed`.

Both sides start from the small policy (`benchmarks.small_world`), which stops by itself after replies of many lengths,
and learn from one reward model that has the policy's architecture and tokenizer (`benchmarks.shared_reward`), which TRL
needs. Prompts, replies a round, passes, minibatches, rate, clips, KL's price and the penalty for a missing stop are the
same. Not the same: the value's rate, since TRL has one rate for both, and the rows of a backward pass, a whole
minibatch in TRL and 8 in ours, so that a part of what ours spares in memory is that choice.

`benchmarks/trl_recipe.py` says how TRL is configured and where it was mended. Each side runs in a process of its own
with two threads, in the precision that a short trial found faster for it; a pair measures both, one right after the
other, and who goes first changes. The seed differs from pair to pair.

Episodes per second are of whole rounds, without the first. What comes before it counts for neither: loading, and ours
then calibrates the reward on replies of the SFT policy. `ratio` is the median of the pairs, the interval the lowest and
the highest. Memory is the process's peak, and its growth over what it held before the training. The learning curve is
each round's mean score and gold of the replies, read by the same model from the same kind of text for both sides.
A pair that is finished is kept under `.rlhf/benchmarks` and not made again.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.demo_votes import demo_dataset
from benchmarks.kept_cells import cell, folder
from benchmarks.ppo_runs import SETTINGS, made_of
from benchmarks.ppo_speed_cells import PARTS, THREADS
from benchmarks.shared_reward import VERSION as REWARD_VERSION
from benchmarks.shared_reward import train_shared_reward
from benchmarks.small_world import World, small_world
from benchmarks.trl_recipe import VERSION
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import choose_compute
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.progress import Progress
from rlhf_assets.storage.home import home

SIDES, PRECISIONS = ("ours", "trl"), ("fp32", "bf16")
PAIRS, UPDATES, TRIED = 3, 12, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--updates", type=int, default=UPDATES, help="rounds of each side in a pair")
    asked = parser.parse_args()
    show_progress()
    compute, kept = choose_compute(), home() / "benchmarks" / "ppo_speed"
    peer = folder(home() / "benchmarks" / "trl-1.12", install_trl)
    world, settings = small_world(compute), SETTINGS.model_copy(update={"updates": asked.updates})
    rests_on = made_of(world, settings, compute) | {"peer": VERSION, "shared_reward": REWARD_VERSION}
    reward = folder(
        kept / f"reward-{hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:12]}",
        partial(train_shared_reward, demo_dataset().train, world.side("train"), world.policy, settings, compute),
    )
    tried = cell(kept / "trial.json", rests_on, partial(trial, world, reward, settings, peer))
    progress, pairs = Progress("pairs", asked.pairs), []
    for number in range(asked.pairs):
        own = settings.model_copy(update={"seed": number})
        run = partial(pair, world, reward, own, peer, tried["fastest"], number)
        pairs.append(cell(kept / f"pair-{number}.json", rests_on | tried["fastest"] | {"pair": number}, run))
        progress.step(f"{pairs[-1]['ratio']:.1f} times")
    print(json.dumps(report(pairs, tried)))  # noqa: T201


def install_trl(new: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(new), f"trl=={VERSION}"]
    subprocess.run(command, check=True)  # noqa: S603


def measure(side: str, precision: str, world: World, reward: Path, settings: PpoSettings, peer: Path) -> dict[str, Any]:
    """What the process of that side found."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "policy").symlink_to(world.policy)
        (place / "reward").symlink_to(reward)
        world.side("train").to_parquet(place / "prompts.parquet")
        (place / "settings.json").write_text(settings.model_dump_json())
        found_first = [str(peer)] if side == "trl" else []
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([*found_first, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "OMP_NUM_THREADS": str(THREADS),
            "TRL_EXPERIMENTAL_SILENCE": "1",
        }
        command = [sys.executable, "-m", "benchmarks.ppo_speed_cells", side, precision, name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def trial(world: World, reward: Path, settings: PpoSettings, peer: Path) -> dict[str, Any]:
    """The precision in which each side is faster, after few rounds of either."""
    few = settings.model_copy(update={"updates": 1 + TRIED})
    rates = {
        side: {one: measure(side, one, world, reward, few, peer)["episodes_per_second"] for one in PRECISIONS}
        for side in SIDES
    }
    return {"tried": rates, "fastest": {side: max(rates[side], key=lambda one: rates[side][one]) for side in SIDES}}


def pair(
    world: World, reward: Path, settings: PpoSettings, peer: Path, precision: dict[str, str], number: int
) -> dict[str, Any]:
    """Both sides, and by what factor ours was faster."""
    order = SIDES if number % 2 else SIDES[::-1]
    found = {side: measure(side, precision[side], world, reward, settings, peer) for side in order}
    return found | {"ratio": found["ours"]["episodes_per_second"] / found["trl"]["episodes_per_second"]}


def report(pairs: list[dict[str, Any]], tried: dict[str, Any]) -> dict[str, Any]:
    def middle(side: str, figure: str) -> float:
        return median(pair[side][figure] for pair in pairs)

    def grown(side: str) -> float:
        return max(pair[side]["memory_mb"] - pair[side]["memory_before_mb"] for pair in pairs)

    peaks = {side: max(pair[side]["memory_mb"] for pair in pairs) for side in SIDES}
    parts = {part: median(pair["ours"]["parts"][part] for pair in pairs) for part in PARTS}
    whole = middle("ours", "seconds_per_round")
    rows = [
        {"what": "precision, by episodes per second in a trial", "tried": tried["tried"], "fastest": tried["fastest"]},
        {
            "what": "peak memory of the process, MB",
            "ours": peaks["ours"],
            "peer": peaks["trl"],
            "share": peaks["ours"] / peaks["trl"],
        },
        {
            "what": "of it grown by the training, MB",
            "ours": grown("ours"),
            "peer": grown("trl"),
            "share": grown("ours") / grown("trl"),
        },
        {"what": "seconds of a round", "ours": whole, "peer": middle("trl", "seconds_per_round")},
        *(
            {"what": f"of ours: {part}", "seconds": seconds, "share": seconds / whole}
            for part, seconds in parts.items()
        ),
        {"what": "of ours: all else", "seconds": whole - sum(parts.values())},
        *(curve(pairs, figure) for figure in ("score", "gold")),
        *(
            {
                "what": "replies, means over pairs, by round",
                "side": side,
                **{
                    figure: np.mean([pair[side][figure] for pair in pairs], axis=0).tolist()
                    for figure in ("length", "stop_rate")
                },
            }
            for side in SIDES
        ),
        *({"pair": number, "ratio": one["ratio"]} for number, one in enumerate(pairs)),
    ]
    ratios = [pair["ratio"] for pair in pairs]
    return {
        "name": "ppo_speed",
        "ours": middle("ours", "episodes_per_second"),
        "peer": middle("trl", "episodes_per_second"),
        "ratio": median(ratios),
        "unit": "episodes per second",
        "value": median(ratios),
        "interval": [min(ratios), max(ratios)],
        "seeds": list(range(len(pairs))),
        "rows": rows,
    }


def curve(pairs: list[dict[str, Any]], figure: str) -> dict[str, Any]:
    """Both sides' means by round, what they gained over their first, and how far apart in the last third of rounds."""
    of = {side: np.array([pair[side][figure] for pair in pairs]) for side in SIDES}  # (pairs, rounds)
    late = slice(-max(1, of["ours"].shape[1] // 3), None)
    apart = (of["ours"] - of["trl"])[:, late].mean(1)  # (pairs,): rounds of one training hang together
    return {
        "what": f"{figure} of the replies, means over pairs, by round",
        **{side: table.mean(0).tolist() for side, table in of.items()},
        "gained": {side: float((table[:, late].mean(1) - table[:, 0]).mean()) for side, table in of.items()},
        "ours_less_peer_in_the_last_third": {
            "value": float(apart.mean()),
            "interval": [float(apart.min()), float(apart.max())],
        },
    }


if __name__ == "__main__":
    main()
