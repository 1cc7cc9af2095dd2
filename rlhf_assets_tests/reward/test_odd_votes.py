"""Votes that say little or nothing: each kind has a clear outcome, and no model of it passes for a good one."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.assessment import assess_reward
from rlhf_assets.reward.inputs import TEXTS
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder

FP32 = Compute("cpu", "fp32")
WHOLE = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "calibration.json"}
Sides = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def sides(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Sides:
    train, validation, test = (change(votes(rows, seed)) for rows, seed in ((60, 0), (24, 1), (120, 2)))
    return train, validation, test


def all_thumbs_up() -> Sides:
    return sides(lambda rows: rows.assign(is_thumb=True, score=1.0))


def all_the_same_score() -> Sides:
    return sides(lambda rows: rows.assign(is_thumb=False, score=0.75))


def contrary_votes_on_one_text() -> Sides:
    """Each answer got a 1 and a 5."""

    def contrary(rows: pd.DataFrame) -> pd.DataFrame:
        texts = rows.iloc[rows.index // 2 * 2].reset_index(drop=True)
        return rows.assign(**texts[[*TEXTS, "kind"]], is_thumb=False, score=rows.index % 2 * 1.0)

    return sides(contrary)


def ten_votes() -> Sides:
    train, validation, test = sides(lambda rows: rows)
    return train.head(10), validation.head(2), test.head(2)


def one_rater() -> Sides:
    return sides(lambda rows: rows.assign(user_id="user 1"))


def thumbs_alone() -> Sides:
    return sides(lambda rows: rows.assign(is_thumb=True, score=(rows["score"] > 0.5) * 1.0))


def thumbs_of_few_raters_mostly_up() -> Sides:
    return sides(lambda rows: rows.assign(is_thumb=True, score=(rows["score"] > 0.2) * 1.0, user_id=rows.index % 4))


def steps_alone() -> Sides:
    return sides(lambda rows: rows.assign(kind="step", steps_before='["Ask your utility."]'))


def validation_of_one_class() -> Sides:
    train, validation, test = sides(lambda rows: rows)
    return train, validation.assign(is_thumb=True, score=1.0), test


def no_validation() -> Sides:
    train, validation, test = sides(lambda rows: rows)
    return train, validation.head(0), test


def empty_answers() -> Sides:
    return sides(lambda rows: rows.assign(response=rows["response"].where(rows.index % 3 > 0, "")))


def empty_answers_alone() -> Sides:
    return sides(lambda rows: rows.assign(response="", query=""))


NO_BETTER_THAN_THE_MEAN = "better_than_mean"
CASES = [
    (all_thumbs_up, NO_BETTER_THAN_THE_MEAN),
    (all_the_same_score, NO_BETTER_THAN_THE_MEAN),
    (contrary_votes_on_one_text, NO_BETTER_THAN_THE_MEAN),
    (empty_answers_alone, NO_BETTER_THAN_THE_MEAN),
    (ten_votes, "tested"),
    (one_rater, None),
    (thumbs_alone, None),
    (thumbs_of_few_raters_mostly_up, None),
    (steps_alone, None),
    (validation_of_one_class, None),
    (no_validation, None),
    (empty_answers, None),
]


@pytest.mark.parametrize(("made", "closed"), CASES, ids=[made.__name__ for made, _ in CASES])
def test_a_whole_model_is_made_and_judged(
    made: Callable[[], Sides], closed: str | None, encoder: Path, tmp_path: Path
) -> None:
    train, validation, test = made()
    settings = RewardSettings(base_model=str(encoder), epochs=2)
    outcome = train_reward(train, validation, settings, FP32, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == WHOLE
    losses = [row[name] for row in outcome.history for name in ("train_loss", "validation_loss")]
    assert all(math.isfinite(loss) and loss >= 0 for loss in losses if loss is not None)
    assert all((row["validation_loss"] is None) == validation.empty for row in outcome.history)
    said = RewardScorer(tmp_path, FP32).score(test["query"].tolist(), test["response"].tolist())
    assert np.isfinite(said).all()
    found = assess_reward(tmp_path, train, validation, test, settings, FP32)
    json.dumps(found.figures, allow_nan=False)
    if closed:
        assert found.gates[closed], found.gates


def test_what_people_disagree_about_is_predicted_in_the_middle(encoder: Path, tmp_path: Path) -> None:
    train, validation, test = contrary_votes_on_one_text()
    train_reward(train, validation, RewardSettings(base_model=str(encoder), epochs=2), FP32, tmp_path)
    scorer = RewardScorer(tmp_path, FP32)
    np.testing.assert_allclose(
        scorer.calibrated(scorer.score(test["query"].tolist(), test["response"].tolist())), 0.5, atol=0.15
    )


@pytest.mark.parametrize("rows", [0, 60])
def test_votes_that_count_for_nothing_are_refused(rows: int, encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), thumb_weight=0)
    thumbs = thumbs_alone()[0].head(rows)
    with pytest.raises(RlhfError, match="nothing to learn") as caught:
        train_reward(thumbs, votes(10), settings, FP32, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_nan_in_the_first_weights_is_told_before_anything_is_made(tmp_path: Path) -> None:
    base = tiny_encoder(tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    weights["encoder.layer.0.output.dense.weight"][3, 3] = float("nan")
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    (tmp_path / "made").mkdir()
    with pytest.raises(RlhfError, match="hold NaN or infinity") as caught:
        train_reward(votes(60), votes(10), RewardSettings(base_model=str(base)), FP32, tmp_path / "made")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "made").iterdir())
