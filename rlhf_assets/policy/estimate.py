"""How long a PPO will take, and how much memory, told by a short trial of what it repeats."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from rlhf_assets.compute import Compute, peak_memory_mb
from rlhf_assets.policy.advantages import gae
from rlhf_assets.policy.ppo import Judge, check_asked, looked_at
from rlhf_assets.policy.ppo_trainer import PpoTrainer
from rlhf_assets.policy.rollouts import Score
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.step_rewards import StepScore
from rlhf_assets.storage.checkpoint import keep

FIRST = 8  # replies of a first pass, which is slow and not counted
FEWEST = 16  # replies of the trial, of which a few might all have one score


@dataclass(frozen=True)
class Estimate:
    """`seconds` by what they will be spent on; peak memory of the process and, on a GPU, of the device, in GB."""

    seconds: dict[str, float]
    memory_gb: float
    device_memory_gb: float | None

    @property
    def minutes(self) -> float:
        return sum(self.seconds.values()) / 60


def estimate_ppo(
    sft_folder: str | Path,
    prompts: pd.DataFrame,
    score: Score,
    settings: PpoSettings,
    compute: Compute,
    judge: Judge | None,
    scratch: Path,
    score_steps: StepScore | None = None,
) -> Estimate:
    """Answer, score, assess and learn from one batch of prompts, keep the result once, and count how often that comes.

    For one process; several share all but loading, saving and memory.

    judge: who will choose the round, taken to be as fast as the score; scratch: a folder on the disk that takes the
    checkpoints. Takes about as long as a round of the training. Replies may grow or shrink while it learns, which
    nobody knows before. Raises RlhfError where the training would fail from the start.
    """
    check_asked(prompts, settings, score_steps)
    started, size = time.monotonic(), min(settings.prompts_per_update, max(settings.batch_size, FEWEST))
    trial = settings.model_copy(update={"calibration_prompts": size})
    trainer = PpoTrainer(str(sft_folder), prompts.to_dict("records"), score, trial, compute, score_steps)
    loading = time.monotonic() - started
    trainer.assess(trainer.collect(0, min(FIRST, size)))
    trainer.took.clear()
    trainer.calibrate()
    per_reply = {what: seconds / size for what, seconds in trainer.took.items()}
    learning = seconds_of_learning(trainer, min(size, -(-settings.prompts_per_update // settings.minibatches)))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch) as beside:
        best = trainer.learner.snapshot() if judge else None
        keep(Path(beside) / "state.pt", "", {"trainer": trainer.state(), "best": best})
    keeping = time.monotonic() - started
    practised = settings.updates * settings.prompts_per_update
    replies = settings.calibration_prompts + practised
    looks = sum(looked_at(update, settings) for update in range(1, settings.updates + 1))
    shown = min(settings.choice_prompts, len(judge.prompts)) * looks if judge else 0
    weights = sum(weight.numel() for weight in trainer.learner.weights) * 4 / 2**30
    return Estimate(
        {
            **{what: each * (replies + shown * (what in ("rollout", "scoring"))) for what, each in per_reply.items()},
            "learning": learning * practised * settings.epochs,
            "checkpoints": keeping * (settings.updates // settings.checkpoint_updates),
            "loading and saving": 2 * loading,
        },
        peak_memory_mb() / 1024 + weights * (judge is not None),
        torch.cuda.max_memory_allocated() / 2**30 if compute.device == "cuda" else None,
    )


def seconds_of_learning(trainer: PpoTrainer, replies: int) -> float:
    """Seconds a reply takes in one optimizer step of so many; a small step before it pays for what comes once."""
    rollout = trainer.collect(1, replies)
    assessment = trainer.assess(rollout)
    advantages, returns = gae(trainer.rewards(rollout, assessment), assessment.values, rollout.mask, 1.0, 1.0)
    for rows in (range(min(FIRST, replies)), range(replies)):
        started = time.monotonic()
        trainer.learner.gradients(rollout, list(rows), assessment, advantages, returns)
        trainer.learner.optimizer.step()
    return (time.monotonic() - started) / replies
