"""PPO from the small policy, and what came of it on prompts that nothing was trained on: for several benchmarks.

The rounds' replies are the policy's own at that moment, so what gold says of them is gold's curve, for nothing.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import norm, t

from benchmarks.small_world import World, gold, gold_of_steps
from rlhf_assets.compute import Compute
from rlhf_assets.policy.evaluation import EvaluationOutcome, evaluate_policies
from rlhf_assets.policy.ppo import VERSION, Judge, train_ppo
from rlhf_assets.policy.rollouts import Score
from rlhf_assets.policy.settings import EvaluationSettings, PpoSettings
from rlhf_assets.policy.step_rewards import StepScore
from rlhf_assets.policy.weights import load_policy, save_policy
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.statistics import Interval

SURE = 0.95
TOKENS = 112  # of a reply; 99 of 100 of the demo's answers are shorter to the small policy
# rate and rounds were set by gold of the replies to training prompts in short trials
SETTINGS = PpoSettings(updates=24, learning_rate=2e-4, micro_batch_size=8, max_new_tokens=TOKENS, choice_updates=6)
HELD_OUT = EvaluationSettings(prompts=1_000, max_new_tokens=TOKENS)  # all there are


class Noted:
    """A score that notes what it and gold said of each round's replies; the first round's are the SFT policy's."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.rounds: list[dict[str, float]] = []

    def __call__(self, queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        said = {"proxy": self.score(queries, responses, contexts), "gold": gold(queries, responses, contexts)}
        noted = {name: float(scores.mean()) for name, scores in said.items()}
        self.rounds.append(noted | {f"{name}_deviation": float(scores.std()) for name, scores in said.items()})
        return said["proxy"]


def train(
    world: World,
    score: Score,
    settings: PpoSettings,
    compute: Compute,
    folder: Path,
    judge: RewardScorer | None = None,
    score_steps: StepScore | None = None,
    last: Path | None = None,
) -> dict[str, Any]:
    """What `train_ppo` returns, each update of its history with proxy and gold, and `start`: both before the first.

    Where the judge chose another round's policy for `folder`, the last one's is in the folder `last`, if asked for.
    """
    noted = Noted(score)
    chooses = Judge(judge.score, world.side("validation")) if judge else None
    with tempfile.TemporaryDirectory() as name:
        checkpoint = Path(name) / "last" if last else None
        outcome = train_ppo(
            world.policy,
            world.side("train"),
            noted,
            settings.model_copy(update={"checkpoint_updates": settings.updates}),
            compute,
            folder,
            judge=chooses,
            score_steps=score_steps,
            checkpoint=checkpoint,
        )
        if checkpoint and last:
            save_checkpoint(world.policy, checkpoint, compute, last)
    start, *rounds = noted.rounds
    history = [figures | said for figures, said in zip(outcome["history"], rounds, strict=True)]
    return outcome | {"start": start, "history": history}


def save_checkpoint(sft: Path, checkpoint: Path, compute: Compute, folder: Path) -> None:
    """Write the policy as a training that began at `sft` had left it at its checkpoint."""
    policy, tokenizer = load_policy(sft, compute)
    weights = torch.load(checkpoint, map_location=compute.device, weights_only=True)["trainer"]["learner"]["weights"]
    with torch.no_grad():
        for ours, trained in zip(policy.parameters(), weights, strict=True):
            ours.copy_(trained)
    save_policy(policy, tokenizer, folder)


def compare(world: World, folders: Mapping[str, Path], judge: RewardScorer, compute: Compute) -> dict[str, Any]:
    """Policies and SFT on the test prompts: figures of each, win rates of each pair, and the scores behind them."""
    outcome = evaluate_policies(
        {"sft": world.policy, **folders},
        world.side("test"),
        {"gold": gold, "gold_of_steps": gold_of_steps, "judge": judge.score},
        "sft",
        HELD_OUT,
        compute,
    )
    return {**outcome.figures, "scores": scores_of(outcome, ("gold", "gold_of_steps", "judge"))}


def scores_of(outcome: EvaluationOutcome, scorers: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """By policy and scorer, what each prompt's answer got."""
    return {
        str(policy): {scorer: rows[scorer].tolist() for scorer in scorers}
        for policy, rows in outcome.samples.groupby("policy")
    }


def gao(kl: np.ndarray, gain: np.ndarray) -> dict[str, float | None]:
    """a and b of gain = d (a - b log d), d = sqrt(kl), by least squares, and R2; both (rounds,), kl above 0.

    `best_kl` is where the fitted gain is highest; None where it does not turn within `max_kl`, the furthest seen. Of
    fewer than three rounds there is no curve.
    """
    if len(kl) < 3:
        return {**dict.fromkeys(("a", "b", "r2", "best_kl", "max_kl")), "rounds": len(kl)}
    d = np.sqrt(kl)
    terms = np.column_stack([d, -d * np.log(d)])
    (a, b), *_ = np.linalg.lstsq(terms, gain, rcond=None)
    left = gain - terms @ (a, b)
    best = 2 * (a / b - 1) if b > 0 else math.inf  # log of the KL there
    return {
        "a": float(a),
        "b": float(b),
        "r2": float(1 - (left**2).mean() / gain.var()) if gain.var() else None,
        "best_kl": math.exp(best) if best <= math.log(kl.max()) else None,
        "max_kl": float(kl.max()),
        "rounds": len(d),
    }


def curve(cells: list[dict[str, Any]], scorer: str) -> dict[str, float | None]:
    """`gao` of all seeds' rounds. A round whose estimated KL is not above 0 says nothing of d and is left out."""
    points = np.array(
        [
            (row["kl"], (row[scorer] - one["start"][scorer]) / one["start"][f"{scorer}_deviation"])
            for one in cells
            for row in one["history"]
            if row["kl"] > 0
        ]
    )
    return gao(*points.reshape(-1, 2).T)


def gain_at(fitted: Mapping[str, Any], kl: float) -> float | None:
    """The gain that a curve of `gao` expects at that KL; None beyond what it has seen."""
    if fitted["max_kl"] is None or kl > fitted["max_kl"]:
        return None
    d = math.sqrt(kl)
    return float(d * (fitted["a"] - fitted["b"] * math.log(d)))


def made_of(world: World, settings: PpoSettings, compute: Compute) -> dict[str, Any]:
    """What a training and its comparison rest on."""
    told = {"world": world.known_by, "settings": settings.model_dump(), "held_out": HELD_OUT.model_dump()}
    return told | {"ppo": VERSION, "torch": torch.__version__, "compute": repr(compute)}


def wins(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], sure: float = SURE) -> Interval:
    """How often ours scores above theirs, (seeds, prompts) both; a tie counts one half."""
    first, second = np.array(ours), np.array(theirs)
    rate = over_seeds((first > second) + 0.5 * (first == second), sure)
    return Interval(rate.value, max(rate.low, 0.0), min(rate.high, 1.0))


def difference(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], sure: float = SURE) -> Interval:
    """Ours less theirs, paired by seed and prompt, (seeds, prompts) both."""
    return over_seeds(np.array(ours) - np.array(theirs), sure)


def over_seeds(figures: np.ndarray, sure: float = SURE) -> Interval:
    """The mean of (seeds, prompts), and where it lies for another choice of either, with that confidence.

    Seeds by Student's t, since they are few, and prompts by their variance, both added; what neither explains is in
    both, so the interval is a little too wide. A resampling of four seeds covers only 80 to 87 of 100. One seed alone
    says nothing of others: its interval is over the prompts.
    """
    seeds, prompts = figures.shape
    spread = norm.ppf((1 + sure) / 2) ** 2 * figures.mean(0).var(ddof=1) / prompts
    if seeds > 1:
        spread += t.ppf((1 + sure) / 2, seeds - 1) ** 2 * figures.mean(1).var(ddof=1) / seeds
    mean = float(figures.mean())
    return Interval(mean, mean - math.sqrt(spread), mean + math.sqrt(spread))
