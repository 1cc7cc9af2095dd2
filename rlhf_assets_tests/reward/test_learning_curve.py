from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.compute import Compute
from rlhf_assets.reward.learning_curve import learning_curve
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.reward.backbones import distilbert
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_gpt2

FP32 = Compute("cpu", "fp32")


@pytest.mark.parametrize("base", [tiny_encoder, tiny_gpt2, distilbert])  # the last one's head reads a new layer
def test_more_questions_teach_more(base: object, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(base(tmp_path)))  # type: ignore[operator]
    train = votes(640).assign(query=[f"question {i // 2}" for i in range(640)])
    found = learning_curve(train, votes(200, seed=1), settings, FP32)
    values = [of["spearman"]["value"] for of in found["points"]]
    assert [of["questions"] for of in found["points"]] == [40, 80, 160, 320]
    assert values[-1] > values[0] + 0.05
    assert values[-1] > 0.5
    assert found["gain"]["value"] == pytest.approx(values[3] - values[2])
    assert found == learning_curve(train, votes(200, seed=1), settings, FP32), "a seed gives the same curve"


def test_ratings_of_nothing_teach_nothing(encoder: Path) -> None:
    train = votes(400).assign(score=np.random.default_rng(0).uniform(size=400))
    found = learning_curve(train, votes(200, seed=1), RewardSettings(base_model=str(encoder)), FP32)
    assert abs(found["points"][-1]["spearman"]["value"]) < 0.25
    assert found["gain"]["low"] < 0.1


@pytest.mark.parametrize(
    ("train", "test"),
    [(votes(40), votes(40)), (votes(200), votes(1).iloc[:0]), (votes(200), votes(40).assign(score=0.5))],
    ids=["ten questions", "no test", "constant test"],
)
def test_where_there_is_too_little_there_is_no_curve(train: pd.DataFrame, test: pd.DataFrame, encoder: Path) -> None:
    found = learning_curve(train, test, RewardSettings(base_model=str(encoder)), FP32)
    assert found == {"points": [], "gain": None}
