"""A tiny base model and a reward model trained from it, made once."""

from pathlib import Path

import pytest

from rlhf_assets.compute import Compute
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def reward_model(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    settings = RewardSettings(base_model=str(encoder), epochs=6, learning_rate=5e-4)
    train_reward(votes(300), votes(60, seed=1), settings, Compute("cpu", "fp32"), folder)
    return folder
