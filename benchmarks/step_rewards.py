"""What steps' rewards earn, and what it is worth to place them: `python -m benchmarks.step_rewards`.

PPO from the small policy (`benchmarks.small_world`) on the same reward model, which learned from votes on answers and
on steps. Three arms, four seeds, equal episodes, the last round kept:

answer    the score of the whole answer, on its last token
outcome   half of it and half of the mean score of its steps, all on the last token
placed    the same labels in the same parts, each step's on the last token of that step (`step_share`)

So `placed` against `outcome` says what placing is worth, and against `answer` whether steps should be asked at all.
In every arm the whole reward of a reply is measured in deviations of itself over the SFT policy's replies, so that a
nat of KL costs the same; nothing is clipped and no scale runs. Gold is the true taste of the whole answer and the mean
one of its steps, on the test side's prompts; differences are paired by seed and prompt, and their intervals wide enough
for all three pairs of arms at once. Arms may end at different distances from SFT all the same, so `gain_at_nats` tells
what each had gained in gold at the same KL, in deviations of SFT's replies, by `ppo_runs.gao`. A finished training is
kept under `.rlhf/benchmarks` and not made again.
"""

import argparse
import json
import tempfile
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept_cells import cell
from benchmarks.ppo_runs import SETTINGS, SURE, compare, curve, difference, gain_at, made_of, over_seeds, train, wins
from benchmarks.small_world import World, small_world
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.feedback.steps import split_steps
from rlhf_assets.policy.rollouts import Score
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.step_rewards import StepScore
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.storage.home import home

PLACED, OUTCOME, ANSWER = "placed", "outcome", "answer"
ARMS = (PLACED, OUTCOME, ANSWER)
SHARE = 0.5
UNSCALED = {"running_scale": False, "reward_clip": 1e6}  # which would take the parts and their sum apart
SEEDS = (0, 1, 2, 3)
GOLD = ("gold", "gold_of_steps")
TOGETHER = 1 - (1 - SURE) / 3  # confidence of each pair of arms, so that all three hold at once (Bonferroni)
NATS = (4, 8, 12)  # a reply, which every arm comes through


class OutcomeWithSteps:
    """(1 - share) of the answer's score and `share` of the mean of its steps', as one number a reply.

    Each in deviations from the mean over the first replies asked about, which are the SFT policy's; a blank reply's
    steps are as good as the mean.
    """

    def __init__(self, score: Score, score_steps: StepScore, share: float) -> None:
        self.score, self.score_steps, self.share = score, score_steps, share
        self.scales: list[tuple[float, float]] = []  # mean and deviation, of answers and of steps

    def __call__(self, queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        steps = [[step.text for step in split_steps(response)] for response in responses]
        row = np.array([i for i, own in enumerate(steps) for _ in own], dtype=int)
        before = [json.dumps(own[:k]) for own in steps for k in range(len(own))]
        answers = self.score(queries, responses, contexts)
        of_steps = self.score_steps(
            [queries[i] for i in row], [step for own in steps for step in own], [contexts[i] for i in row], before
        )
        if not self.scales:
            self.scales = [(float(said.mean()), float(said.std())) for said in (answers, of_steps)]
        answers, of_steps = (
            (said - mean) / deviation for said, (mean, deviation) in zip((answers, of_steps), self.scales, strict=True)
        )
        counts = np.maximum(np.bincount(row, minlength=len(responses)), 1)
        means = np.bincount(row, weights=of_steps, minlength=len(responses)) / counts
        return (1 - self.share) * answers + self.share * means


def arm(name: str, settings: PpoSettings) -> PpoSettings:
    """The settings of an arm."""
    return settings.model_copy(update={"step_share": SHARE}) if name == PLACED else settings


def one_run(world: World, name: str, settings: PpoSettings, compute: Compute) -> dict[str, Any]:
    """An arm with one seed: trained, and held against SFT."""
    reward, judge = (RewardScorer(folder, compute) for folder in (world.reward, world.judge))
    score = OutcomeWithSteps(reward.score, reward.score, SHARE) if name == OUTCOME else reward.score
    steps = reward.score if name == PLACED else None
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "ppo"
        outcome = train(world, score, settings, compute, policy, score_steps=steps)
        compared = compare(world, {"ppo": policy}, judge, compute)
    return {name: outcome[name] for name in ("history", "start", "seconds")} | compared


def scores(cells: list[dict[str, Any]], scorer: str, policy: str = "ppo") -> list[list[float]]:
    return [one["scores"][policy][scorer] for one in cells]


def report(seeds: list[int], made: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def apart(ours: str, theirs: str) -> dict[str, Any]:
        return {
            scorer: {
                "difference": difference(scores(made[ours], scorer), scores(made[theirs], scorer), TOGETHER).as_dict(),
                "won": wins(scores(made[ours], scorer), scores(made[theirs], scorer), TOGETHER).as_dict(),
            }
            for scorer in GOLD
        }

    arms = [
        {
            "arm": name,
            **{scorer: over_seeds(np.array(scores(cells, scorer))).as_dict() for scorer in (*GOLD, "judge")},
            "over_sft": {
                scorer: wins(scores(cells, scorer), scores(cells, scorer, "sft")).as_dict() for scorer in GOLD
            },
            "gain_at_nats": {nats: gain_at(curve(cells, "gold"), nats) for nats in NATS},
            **{
                figure: [one["policies"]["ppo"][figure] for one in cells]
                for figure in ("kl", "length", "stop_rate", "repetition")
            },
        }
        for name, cells in made.items()
    ]
    pairs = [{"arms": [ours, theirs], **apart(ours, theirs)} for ours, theirs in combinations(ARMS, 2)]
    verdicts = [{"by": scorer, "wins": winner(pairs, scorer)} for scorer in GOLD]
    placing = pairs[0]["gold"]
    means = [over_seeds(np.array(scores(made[name], "gold"))).value for name in (PLACED, OUTCOME)]
    return {
        "name": "step_rewards",
        "ours": means[0],
        "peer": means[1],
        "ratio": placing["won"]["value"] / (1 - placing["won"]["value"]),
        "unit": "gold of the whole answer, steps' rewards placed against the same on the last token; ratio is the odds "
        "that placed wins a prompt",
        "value": placing["difference"]["value"],
        "interval": [placing["difference"]["low"], placing["difference"]["high"]],
        "seeds": seeds,
        "rows": [*verdicts, *pairs, *arms],
    }


def winner(pairs: list[dict[str, Any]], scorer: str) -> str | None:
    """The arm that is better than both others beyond their intervals; None where there is none."""
    better = []
    for pair in pairs:
        apart = pair[scorer]["difference"]
        if apart["low"] > 0 or apart["high"] < 0:
            better.append(pair["arms"][0 if apart["low"] > 0 else 1])
    return next((name for name in ARMS if better.count(name) == len(ARMS) - 1), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--updates", type=int, default=SETTINGS.updates)
    asked = parser.parse_args()
    show_progress()
    compute, kept = choose_compute(), home() / "benchmarks" / "step_rewards"
    world, own = small_world(compute), SETTINGS.model_copy(update={**UNSCALED, "updates": asked.updates})
    made: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS}
    for seed in asked.seeds:  # seed by seed, so that a stopped run has compared all arms
        for name in ARMS:
            settings = arm(name, own.model_copy(update={"seed": seed}))
            rests_on = made_of(world, settings, compute) | {"arm": name}
            run = partial(one_run, world, name, settings, compute)
            made[name].append(cell(kept / f"{name}-{seed}.json", rests_on, run))
    print(json.dumps(report(list(asked.seeds), made)))  # noqa: T201


if __name__ == "__main__":
    main()
