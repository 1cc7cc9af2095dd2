from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy import estimate, ppo_trainer
from rlhf_assets.policy.estimate import estimate_ppo
from rlhf_assets.policy.ppo import Judge
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets_tests.policy.conftest import FP32, QUICK, share_of


class Clock:
    """Time in which nothing but this reward takes any: a second a reply."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def score(self, queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        self.now += len(queries)
        return share_of("e")(queries, responses, contexts)


@pytest.mark.parametrize(
    ("judged", "changed", "scored"),
    [
        (0, {}, 8 + 2 * 8),  # calibration, then two rounds
        (9, {"updates": 7, "choice_updates": 3, "choice_prompts": 5}, 8 + 7 * 8 + 3 * 5),  # looks at 3, 6 and 7
        (4, {"updates": 7, "choice_updates": 3, "choice_prompts": 5}, 8 + 7 * 8 + 3 * 4),  # as many as there are
        (0, {"calibration_prompts": 30, "prompts_per_update": 16, "batch_size": 8}, 30 + 2 * 16),
    ],
)
def test_every_reply_that_will_be_scored_is_counted(
    judged: int,
    changed: dict,
    scored: int,
    llama: Path,
    prompts: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, settings = Clock(), PpoSettings(**{**QUICK.model_dump(), **changed})
    for module in (estimate, ppo_trainer):
        monkeypatch.setattr(module, "time", clock)
    judge = Judge(clock.score, prompts.head(judged)) if judged else None
    found = estimate_ppo(llama, prompts, clock.score, settings, FP32, judge, tmp_path)
    assert found.seconds["scoring"] == pytest.approx(scored)
    assert found.minutes * 60 == pytest.approx(sum(found.seconds.values()))
    assert found.memory_gb > 0.2
    assert found.device_memory_gb is None
    assert list(tmp_path.iterdir()) == []


def test_learning_takes_longer_with_more_epochs_and_rounds(llama: Path, prompts: pd.DataFrame, tmp_path: Path) -> None:
    many = QUICK.model_copy(update={"epochs": 100, "updates": 1000})
    few, much = (
        estimate_ppo(llama, prompts, share_of("e"), settings, FP32, None, tmp_path).seconds["learning"]
        for settings in (QUICK, many)
    )
    assert much > 1000 * few  # 25,000 times, were the machine as fast each time


def test_a_batch_of_one_is_tried_on_more_replies(llama: Path, prompts: pd.DataFrame, tmp_path: Path) -> None:
    """One reply alone has no deviation to scale the reward by."""
    small = QUICK.model_copy(update={"batch_size": 1})
    assert estimate_ppo(llama, prompts, share_of("e"), small, FP32, None, tmp_path).minutes > 0


def test_what_would_fail_from_the_start_fails(llama: Path, prompts: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(RlhfError, match="needs prompts"):
        estimate_ppo(llama, prompts.head(0), share_of("e"), QUICK, FP32, None, tmp_path)
    with pytest.raises(RlhfError, match="same score"):
        estimate_ppo(llama, prompts, lambda q, *_: np.zeros(len(q)), QUICK, FP32, None, tmp_path)
