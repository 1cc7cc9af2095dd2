"""Whatever architecture it starts from, a reward model trains, and stock transformers gives its numbers."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlhf_assets.compute import Compute
from rlhf_assets.reward.head import pooled
from rlhf_assets.reward.inputs import encode
from rlhf_assets.reward.loading import head, load_classifier
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets_tests.reward.backbones import distilbert, llama, modern_bert, qwen2, roberta
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_gpt2

FP32 = Compute("cpu", "fp32")
LIMITS = [
    (tiny_encoder, 128),
    (distilbert, 512),
    (roberta, 512),
    (modern_bert, 4096),
    (tiny_gpt2, 256),
    (llama, 4096),
    (qwen2, 4096),
]
PREFIXES = ("", "bert.", "distilbert.", "roberta.", "model.")  # of an encoder's weights in its classifier
FAR_OVER = " ".join(["vague"] * 9000) + " good"


@pytest.mark.parametrize(("base", "limit"), LIMITS, ids=[base.__name__ for base, _ in LIMITS])
def test_it_trains_on_texts_far_over_its_limit_and_scores_as_stock_transformers_does(
    base: Callable[[Path], Path], limit: int, tmp_path: Path
) -> None:
    rows = votes(12)
    rows.loc[5, "response"] = FAR_OVER
    settings = RewardSettings(
        base_model=str(base(tmp_path / "base")), epochs=1, batch_size=4, learning_rate=1e-3, max_length=5000
    )
    train_reward(rows, rows.head(0), settings, FP32, tmp_path / "trained")
    first, last = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "trained"))
    moved = {
        name: (last[prefix + name] - first[name]).abs().max()
        for prefix in PREFIXES
        for name in first
        if prefix + name in last
    }
    assert max(distance for name, distance in moved.items() if re.search(r"\.\d\.", name)) > 1e-5

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "trained").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trained")
    assert (tokenizer.model_max_length, tokenizer.padding_side) == (limit, "right")
    queries = ["How do I find a job in solar?", "What pays?", "Which grants?", ""]
    answers = [FAR_OVER, "good", "a rather longer answer that is clear and useful", ""]
    features = encode(tokenizer, queries, answers)
    assert limit - 20 <= len(features[0]["input_ids"]) <= limit
    kept = tokenizer.decode(features[0]["input_ids"], skip_special_tokens=True).lower()
    assert kept.startswith("how do i find a job in solar")
    assert kept.endswith("vague good")
    with torch.no_grad():
        expected = [model(**{name: torch.tensor([row[name]]) for name in row}).logits.item() for row in features]
        batch = tokenizer.pad(features[1:], return_tensors="pt")
        np.testing.assert_allclose(model(**batch).logits.squeeze(-1), expected[1:], atol=1e-5)
    found = RewardScorer(tmp_path / "trained", FP32).score(queries, answers)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 1e-4


@pytest.mark.parametrize("base", [tiny_gpt2, llama, qwen2])
def test_the_head_learns_from_the_token_that_a_decoder_reads(base: Callable[[Path], Path], tmp_path: Path) -> None:
    model, tokenizer = load_classifier(str(base(tmp_path)), trained=False)
    features = encode(tokenizer, ["What pays?", "Which grants?"], ["good", "a rather longer answer </s><|endoftext|>"])
    read = pooled(model.eval(), tokenizer, FP32, features)
    with torch.no_grad():
        said = model(**tokenizer.pad(features, return_tensors="pt")).logits
        torch.testing.assert_close(read @ head(model).weight.T, said)
