"""A training to kill: `python -m rlhf_assets_tests.reward.train_votes PROCESSES ENCODER FOLDER CHECKPOINT`."""

import sys
from pathlib import Path

from rlhf_assets.compute import Compute
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.together import train_together
from rlhf_assets.reward.training import TrainingOutcome
from rlhf_assets_tests.reward.votes import votes


def train(processes: int, encoder: Path, folder: Path, checkpoint: Path | None) -> TrainingOutcome:
    """44 steps, with a checkpoint after every third."""
    settings = RewardSettings(base_model=str(encoder), epochs=4, batch_size=10, checkpoint_steps=3, pair_weight=0.1)
    frames = votes(100), votes(40, seed=1)
    return train_together(processes, *frames, settings, Compute("cpu", "fp32"), folder, checkpoint)


if __name__ == "__main__":
    train(int(sys.argv[1]), *map(Path, sys.argv[2:]))
