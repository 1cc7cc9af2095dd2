import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.evaluation import spearman
from rlhf_assets.reward.inputs import pair
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import build_optimizer, distinct_texts, length_grouped, rate, strictness, train_reward
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
        settings = RewardSettings(base_model=str(encoder), epochs=2, seed=seed)
        outcome = train_reward(votes(64), votes(16), settings, FP32, tmp_path / name)
        made.append(((tmp_path / name / "model.safetensors").read_bytes(), outcome.history))
        torch.rand(3)  # whatever ran in between
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]


def test_weights_are_those_of_a_plain_loop_of_stock_parts(encoder: Path, tmp_path: Path) -> None:
    config = json.loads((encoder / "config.json").read_text())
    base = shutil.copytree(encoder, tmp_path / "base")
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (base / "config.json").write_text(json.dumps({**config, **still}))
    train = votes(500).drop_duplicates(["query", "response", "steps_before"]).head(48).reset_index(drop=True)
    assert len(train) == 48
    train["is_thumb"] = False
    settings = RewardSettings(base_model=str(base), epochs=3, batch_size=16, warmup_share=0, learning_rate=1e-3)
    train_reward(train, train.iloc[:0], settings, FP32, tmp_path / "ours")

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).train()
    model.classifier.bias.data.fill_(train["score"].mean())
    model.get_input_embeddings().requires_grad_(False)
    given = (train["score"] - strictness(train)).to_numpy()
    tokenizer = AutoTokenizer.from_pretrained(base)
    columns = ("query", "response", "context", "steps_before")
    texts = [pair(*row) for row in zip(*(train[name] for name in columns), strict=True)]
    optimizer = build_optimizer(model, settings)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, 9)
    draw, norms = np.random.default_rng(0), []
    for _ in range(3):
        for rows in length_grouped([len(tokenizer(*text)["input_ids"]) for text in texts], 16, draw):
            batch = tokenizer([texts[i] for i in rows], padding=True, return_tensors="pt")
            labels = torch.tensor(given[rows], dtype=torch.float32)
            model(**batch, labels=labels).loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    assert max(norms) > 1  # so that clipping matters
    for name, weight in load_file(tmp_path / "ours" / "model.safetensors").items():
        torch.testing.assert_close(
            weight, model.get_parameter(name).data, atol=1e-4, rtol=1e-4
        )  # a step moves a weight by 1e-3


def test_votes_on_one_text_count_as_one_text_with_their_weighted_mean_and_weight() -> None:
    one, other = (row | {"is_thumb": False} for row in votes(2).to_dict("records"))
    given = [{**one, "score": 0.0}, {**other, "score": 0.5}, {**one, "score": 1.0, "is_thumb": True}]
    texts = distinct_texts(pd.DataFrame(given), thumb_weight=0.25)
    assert texts["response"].tolist() == [one["response"], other["response"]]
    assert texts["score"].tolist() == [0.2, 0.5]
    assert texts["weight"].tolist() == [1.25, 1.0]


def test_a_rater_strictness_is_shrunk_and_taken_out() -> None:
    scores = [0.0] * 10 + [1.0] * 10 + [0.5]
    given = pd.DataFrame({"score": scores, "user_id": ["strict"] * 10 + ["kind"] * 10 + ["new"]})
    offsets = strictness(given)
    assert offsets.tolist() == pytest.approx([-0.25] * 10 + [0.25] * 10 + [0.0])  # 10 / (10 + 10) of one half


def test_votes_of_nobody_in_particular_are_learned_from_as_they_stand(encoder: Path, tmp_path: Path) -> None:
    given = votes(40).assign(user_id=None)
    assert strictness(given).tolist() == [0.0] * 40
    outcome = train_reward(given, votes(10), RewardSettings(base_model=str(encoder), epochs=1), FP32, tmp_path)
    assert np.isfinite(outcome.history[0]["train_mse"])


def test_the_epoch_best_on_validation_is_kept(encoder: Path, tmp_path: Path) -> None:
    contrary = votes(60, seed=1).assign(score=lambda frame: 1 - frame["score"])  # each epoch of training makes it worse
    settings = RewardSettings(base_model=str(encoder), epochs=5, learning_rate=3e-3)
    outcome = train_reward(votes(200), contrary, settings, FP32, tmp_path)
    errors = [row["validation_mse"] for row in outcome.history]
    assert outcome.best_epoch == int(np.argmin(errors)) + 1 < 5
    assert error(tmp_path, contrary) == pytest.approx(min(errors), rel=1e-4)
    assert json.loads((tmp_path / "calibration.json").read_text())["gain"] < 0.5


def test_a_loss_that_is_no_number_fails_and_leaves_nothing(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), learning_rate=1e30)
    with pytest.raises(RlhfError, match="lower learning_rate"):
        train_reward(votes(64), votes(16), settings, FP32, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_validation_votes_the_last_epoch_is_kept(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), epochs=2)
    outcome = train_reward(votes(40), votes(1).iloc[:0], settings, FP32, tmp_path)
    assert outcome.best_epoch == 2
    assert [row["validation_mse"] for row in outcome.history] == [None, None]
    assert json.loads((tmp_path / "calibration.json").read_text()) == {"gain": 1.0, "bias": 0.0}


def test_training_goes_on_from_an_earlier_model(reward_model: Path, encoder: Path, tmp_path: Path) -> None:
    still = {"epochs": 1, "learning_rate": 1e-9}
    train_reward(votes(40), votes(40), RewardSettings(model_path=str(reward_model), **still), FP32, tmp_path)
    assert error(tmp_path, votes(100, seed=2)) == pytest.approx(error(reward_model, votes(100, seed=2)), rel=1e-3)
    with pytest.raises(RlhfError, match="no trained reward model"):
        train_reward(votes(40), votes(40), RewardSettings(model_path=str(encoder)), FP32, tmp_path)


def test_the_new_head_starts_at_the_mean_score(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), epochs=1, learning_rate=1e-9)
    train_reward(votes(60).assign(score=0.9), votes(10), settings, FP32, tmp_path)
    assert load_file(tmp_path / "model.safetensors")["classifier.bias"].item() == pytest.approx(0.9, abs=1e-4)


def test_a_decoder_without_pad_token_learns_in_bf16(tmp_path: Path) -> None:
    base = tiny_gpt2(tmp_path / "base")
    settings = RewardSettings(base_model=str(base), epochs=12, learning_rate=5e-3, max_length=1000)
    train_reward(votes(200), votes(60, seed=1), settings, Compute("cpu", "bf16"), tmp_path / "trained")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "trained")
    assert model.config.pad_token_id is not None
    assert AutoTokenizer.from_pretrained(tmp_path / "trained").model_max_length == 256  # positions that the model has
    assert spearman(scores(tmp_path / "trained", test := votes(100, seed=2)), test["score"].to_numpy()) > 0.6


def test_batches_hold_each_row_once_with_little_padding_in_another_order_each_epoch() -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 700).tolist()
    draw = np.random.default_rng(1)
    first, second = (length_grouped(lengths, 16, draw) for _ in range(2))
    assert sorted(row for batch in first for row in batch) == list(range(700))
    assert max(len(batch) for batch in first) == 16
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in first)
    assert padded < 1.05 * sum(lengths)
    assert [set(batch) for batch in first] != [set(batch) for batch in second]
    longest = [max(lengths[row] for row in batch) for batch in first]
    assert longest != sorted(longest)
    assert first == length_grouped(lengths, 16, np.random.default_rng(1))


def test_the_rate_rises_and_falls_linearly() -> None:
    shares = [rate(step, 10, 0.2) for step in range(11)]
    assert shares == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])
    assert [rate(step, 2, 0.0) for step in range(2)] == [1.0, 0.5]


def test_biases_and_norms_do_not_decay(reward_model: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    decay = {
        id(weight): group["weight_decay"]
        for group in build_optimizer(model, RewardSettings(weight_decay=0.3)).param_groups
        for weight in group["params"]
    }
    for name, weight in model.named_parameters():
        assert decay[id(weight)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.3), name
