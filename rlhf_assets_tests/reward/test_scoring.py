import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward import score
from rlhf_assets.reward.inputs import pair
from rlhf_assets.reward.scoring import TOKENS, RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_gpt2, tiny_llama

FP32 = Compute("cpu", "fp32")


def stock_scores(folder: Path, texts: list[tuple[str, str]]) -> np.ndarray:
    """The same model through stock transformers, one text at a time and so without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.array([model(**tokenizer(*text, return_tensors="pt")).logits.item() for text in texts])


@pytest.mark.parametrize("base", [tiny_encoder, tiny_llama, tiny_gpt2])
def test_batches_score_as_stock_transformers_does_one_by_one(
    base: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RewardSettings(base_model=str(base(tmp_path / "base")), epochs=4, learning_rate=3e-3)
    train_reward(votes(200), votes(40), settings, FP32, tmp_path)
    rows = votes(50, seed=3)
    expected = stock_scores(tmp_path, [pair(*row) for row in zip(rows["query"], rows["response"], strict=True)])
    scorer = RewardScorer(tmp_path, FP32)
    for tokens in (1, 100, 10_000):
        monkeypatch.setitem(TOKENS, "cpu", tokens)
        found = scorer.score(rows["query"].tolist(), rows["response"].tolist())
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.01


def test_context_and_steps_reach_the_model(reward_model: Path) -> None:
    scorer = RewardScorer(reward_model, FP32)
    plain = scorer.score(["find a job"], ["good"])
    context = json.dumps([{"role": "user", "content": "bad poor"}])
    assert scorer.score(["find a job"], ["good"], contexts=[context]) != plain
    assert scorer.score(["find a job"], ["good"], steps_before=['["bad poor"]']) != plain


def test_dropout_is_off_whatever_the_model_was_doing(reward_model: Path) -> None:
    scorer = RewardScorer(reward_model, FP32)
    before = scorer.score(["find a job"], ["good"])
    scorer.model.train()
    assert scorer.score(["find a job"], ["good"]) == before


def test_bf16_is_near_and_does_not_round_the_score_itself(reward_model: Path) -> None:
    rows = votes(60, seed=4)
    texts = rows["query"].tolist(), rows["response"].tolist()
    rough = RewardScorer(reward_model, Compute("cpu", "bf16")).score(*texts)
    np.testing.assert_allclose(rough, RewardScorer(reward_model, FP32).score(*texts), atol=0.05)
    assert (torch.tensor(rough).bfloat16().double().numpy() != rough).mean() > 0.9


def test_no_rows(reward_model: Path) -> None:
    assert RewardScorer(reward_model, FP32).score([], []).shape == (0,)


def test_public_score_gives_raw_and_calibrated_in_order(reward_model: Path) -> None:
    rows = [
        {"query": "How do I find a job in solar near 3?", "response": "bad poor useless"},
        {"query": "How do I find a job in solar near 3?", "response": "good great useful clear good great"},
        {"query": "How do I find a job?", "response": "good bad", "context": [{"role": "user", "content": "wind"}]},
    ]
    scored = score(str(reward_model), rows, FP32)
    line = json.loads((reward_model / "calibration.json").read_text())
    assert [set(row) for row in scored] == [{"score", "reward"}] * 3
    for row in scored:
        assert row["reward"] == pytest.approx(min(1, max(0, line["gain"] * row["score"] + line["bias"])))
    assert scored[0]["reward"] < 0.3 < 0.7 < scored[1]["reward"]
    assert scored[2] != score(str(reward_model), [{**rows[2], "context": None}], FP32)[0]


def test_calibration_is_a_line_clipped_to_the_scale(reward_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(reward_model, tmp_path / "copy")
    (folder / "calibration.json").write_text('{"gain": 2.0, "bias": -0.5}')
    raw = np.array([0.0, 0.5, 0.6, 3.0])
    np.testing.assert_allclose(RewardScorer(folder, FP32).calibrated(raw), [0.0, 0.5, 0.7, 1.0])
    (folder / "calibration.json").unlink()
    np.testing.assert_allclose(RewardScorer(folder, FP32).calibrated(raw), [0.0, 0.5, 0.6, 1.0])


def spoil_nan(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def spoil_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def spoil_outputs(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"], weights["classifier.bias"] = torch.zeros(2, 32), torch.zeros(2)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def spoil_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"half a file")


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def spoil_calibration(folder: Path) -> None:
    (folder / "calibration.json").write_text('{"gain"')


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_nan, "NaN"),
        (spoil_head, "no trained reward model"),
        (spoil_outputs, "no trained reward model"),
        (spoil_file, "cannot load"),
        (spoil_config, "cannot load"),
        (spoil_calibration, "holds no calibration"),
        (shutil.rmtree, "there is no folder"),
    ],
)
def test_a_model_that_cannot_serve_says_so_on_one_line(
    spoil: Callable[[Path], None], message: str, reward_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(reward_model, tmp_path / "copy")
    spoil(folder)
    with pytest.raises(RlhfError, match=message) as caught:
        RewardScorer(folder, FP32)
    assert "\n" not in str(caught.value)
