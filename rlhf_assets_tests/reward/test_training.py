import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.propensity import doublings, inverse_propensity
from rlhf_assets.reward.batches import batches
from rlhf_assets.reward.evaluation import spearman
from rlhf_assets.reward.inputs import TEXTS, pair
from rlhf_assets.reward.optimizer import build_optimizer
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_gpt2

FP32 = Compute("cpu", "fp32")


def scores(folder: Path, frame: pd.DataFrame) -> np.ndarray:
    columns = ("query", "response", "context", "steps_before")
    return RewardScorer(folder, FP32).score(*(frame[name].tolist() for name in columns))


def error(folder: Path, frame: pd.DataFrame) -> float:
    return float(np.mean((scores(folder, frame) - frame["score"]) ** 2))


def test_it_learns_and_stock_transformers_loads_it(reward_model: Path) -> None:
    test = votes(100, seed=2)
    raw = scores(reward_model, test)
    assert spearman(raw, test["score"].to_numpy()) > 0.8
    assert np.mean((raw - test["score"]) ** 2) < 0.4 * test["score"].var()
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    assert AutoTokenizer.from_pretrained(reward_model).model_max_length == 128  # what the model can take
    files = {file.name for file in reward_model.iterdir()}
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "calibration.json"}


def test_a_seed_gives_the_same_weights_and_another_seed_others(encoder: Path, tmp_path: Path) -> None:
    made = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        settings = RewardSettings(base_model=str(encoder), epochs=2, pair_weight=0.1, seed=seed)
        outcome = train_reward(votes(64), votes(16).iloc[:0], settings, FP32, tmp_path / name)  # keeps the last epoch
        made.append(((tmp_path / name / "model.safetensors").read_bytes(), outcome.history))
        torch.rand(3)  # whatever ran in between
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]


def test_weights_are_those_of_a_plain_loop_of_stock_parts(encoder: Path, tmp_path: Path) -> None:
    rows = votes(500).drop_duplicates(["query", "response", "steps_before"]).head(48).reset_index(drop=True)
    rows = rows.assign(is_thumb=False, user_id=None)
    start = RewardSettings(base_model=str(encoder), epochs=0)
    train_reward(rows, rows.iloc[:0], start, FP32, tmp_path / "start")
    settings = RewardSettings(
        model_path=str(tmp_path / "start"), epochs=3, batch_size=16, warmup_share=0, learning_rate=1e-3
    )
    train_reward(rows, rows.iloc[:0], settings, FP32, tmp_path / "ours")

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "start").eval()
    model.get_input_embeddings().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "start")
    texts = [pair(*row) for row in zip(*(rows[name] for name in TEXTS), strict=True)]
    given = torch.tensor(rows["score"].to_numpy(np.float32))
    optimizer = build_optimizer(model, nn.Module(), settings)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"]
    schedule = get_linear_schedule_with_warmup(optimizer, 0, 9)
    draw, norms = np.random.default_rng(0), []
    lengths = np.array([len(tokenizer(*text)["input_ids"]) for text in texts])
    alone = list(np.arange(48)[:, None])
    for chosen in [chosen for _ in range(3) for chosen in batches(alone, lengths, 16, draw)]:
        batch = tokenizer([texts[i] for i in chosen], padding=True, return_tensors="pt")
        model(**batch, labels=given[chosen]).loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert max(norms) > 1  # so that clipping matters
    for name, weight in load_file(tmp_path / "ours" / "model.safetensors").items():
        torch.testing.assert_close(
            weight, model.get_parameter(name).data, atol=1e-4, rtol=1e-4
        )  # a step moves a weight by 1e-3


def test_votes_of_nobody_in_particular_are_learned_from_as_they_stand(encoder: Path, tmp_path: Path) -> None:
    given = votes(40).assign(user_id=None)
    outcome = train_reward(given, votes(10), RewardSettings(base_model=str(encoder), epochs=1), FP32, tmp_path)
    assert np.isfinite(outcome.history[1]["train_loss"] or math.nan)


def test_the_epoch_best_on_validation_is_kept(encoder: Path, tmp_path: Path) -> None:
    contrary = votes(60, seed=1).assign(score=lambda frame: 1 - frame["score"])  # each epoch of training makes it worse
    settings = RewardSettings(base_model=str(encoder), epochs=5, learning_rate=3e-3)
    outcome = train_reward(votes(200), contrary, settings, FP32, tmp_path)
    losses = [row["validation_loss"] for row in outcome.history]
    assert outcome.best_epoch == int(np.argmin(losses)) < 5
    assert json.loads((tmp_path / "calibration.json").read_text())["gain"] < 0.5


def test_a_loss_that_is_no_number_fails_and_leaves_nothing(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), learning_rate=1e30)
    with pytest.raises(RlhfError, match="lower learning_rate"):
        train_reward(votes(64), votes(16), settings, FP32, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_seldom_rated_is_heard(encoder: Path, tmp_path: Path) -> None:
    """Of all who are served, kind owners alone rate good answers, which are long, more often than bad ones."""
    draw = np.random.default_rng(0)
    good, owner = draw.random(1200) < 0.5, draw.random(1200) < 0.5
    served = pd.DataFrame(
        {
            "query": [f"Why {i}?" for i in range(1200)],
            "response": np.where(good, "good clear useful answer", "bad answer"),
            "segment": np.where(owner, "owner", "tenant"),
            "score": 0.5 * good + 0.5 * owner,
            **{"context": "[]", "steps_before": "[]", "kind": "message", "is_thumb": False, "user_id": None},
        }
    )
    rated = draw.random(1200) < np.where(good & owner, 0.9, 0.3)
    counted = served.assign(doublings=doublings(served["response"]), rated=rated)
    coverage = counted.groupby(["kind", "segment", "doublings"])["rated"].agg(served="size", rated="sum").reset_index()
    votes_of_week = served[rated].reset_index(drop=True)
    votes_of_week["inverse_propensity"] = inverse_propensity(votes_of_week, coverage)
    off: dict[float, list[float]] = {}
    for most in (1.0, 3.0):
        settings = RewardSettings(base_model=str(encoder), epochs=0, maximum_inverse_propensity=most)
        train_reward(votes_of_week, votes_of_week, settings, FP32, tmp_path / str(most))
        raw = scores(tmp_path / str(most), served)
        said = RewardScorer(tmp_path / str(most), FP32).calibrated(raw)
        off[most] = [values.mean() - served["score"].mean() for values in (raw, said)]
    assert min(off[1.0]) > 0.05
    assert max(map(abs, off[3.0])) < 0.02


def test_a_model_of_pairs_alone_is_calibrated_by_all_votes(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), score_weight=0, thumb_weight=0, pair_weight=0.1, epochs=1)
    rows = votes(60, seed=1).assign(is_thumb=False)
    train_reward(votes(200).assign(is_thumb=False), rows, settings, FP32, tmp_path)
    said = RewardScorer(tmp_path, FP32).calibrated(scores(tmp_path, rows))
    assert said.mean() == pytest.approx(rows["score"].mean(), abs=0.01)


def test_where_nothing_counts_there_is_nothing_to_learn_from(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), score_weight=0, thumb_weight=0)
    with pytest.raises(RlhfError, match="nothing to learn from"):
        train_reward(votes(40), votes(10), settings, FP32, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_without_validation_votes_the_last_epoch_is_kept(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), epochs=2)
    outcome = train_reward(votes(40), votes(1).iloc[:0], settings, FP32, tmp_path)
    assert outcome.best_epoch == 2
    assert [row["validation_loss"] for row in outcome.history] == [None] * 3
    assert json.loads((tmp_path / "calibration.json").read_text()) == {"gain": 1.0, "bias": 0.0}


def test_training_goes_on_from_an_earlier_model(reward_model: Path, encoder: Path, tmp_path: Path) -> None:
    still = {"epochs": 1, "learning_rate": 1e-9}
    train_reward(votes(40), votes(40), RewardSettings(model_path=str(reward_model), **still), FP32, tmp_path)
    assert error(tmp_path, votes(100, seed=2)) == pytest.approx(error(reward_model, votes(100, seed=2)), rel=1e-3)
    with pytest.raises(RlhfError, match="no trained reward model"):
        train_reward(votes(40), votes(40), RewardSettings(model_path=str(encoder)), FP32, tmp_path)


def test_a_decoder_without_pad_token_learns_in_bf16(tmp_path: Path) -> None:
    base = tiny_gpt2(tmp_path / "base")
    settings = RewardSettings(base_model=str(base), epochs=12, learning_rate=2e-3, max_length=1000)
    train_reward(votes(200), votes(60, seed=1), settings, Compute("cpu", "bf16"), tmp_path / "trained")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "trained")
    assert model.config.pad_token_id is not None
    assert AutoTokenizer.from_pretrained(tmp_path / "trained").model_max_length == 256  # positions that the model has
    assert spearman(scores(tmp_path / "trained", test := votes(100, seed=2)), test["score"].to_numpy()) > 0.6
