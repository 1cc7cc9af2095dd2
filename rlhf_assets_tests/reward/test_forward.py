"""Read sooner, a classifier says and learns what its stock class does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BatchEncoding, BertForSequenceClassification, PreTrainedModel

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.reward.forward import FirstTokenOnly, prepare
from rlhf_assets.reward.loading import load_classifier
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets_tests.reward.votes import votes

TEXTS = (
    ["What?", "Where and when?", "Who?"],
    ["Short.", "A rather longer text about solar panels.", "Them, I am told."],
)


@pytest.fixture(params=[16, 600], ids=["short", "long"])
def limit(request: pytest.FixtureRequest) -> int:
    """Tokens a text may have: above 512 attention is torch's own, whose mask is of booleans."""
    return request.param


def read(model: PreTrainedModel, batch: BatchEncoding) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Its outputs and the gradients of their squares."""
    model.zero_grad()
    said = model(**batch).logits.squeeze(-1)
    said.square().sum().backward()
    return said.detach(), {
        name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad
    }


@pytest.mark.parametrize("rows", [slice(0, 3), slice(1, 2)], ids=["padded", "alone"])
def test_outputs_and_gradients_are_those_of_the_stock_class(encoder: Path, limit: int, rows: slice) -> None:
    torch.manual_seed(0)
    model, tokenizer = load_classifier(str(encoder), trained=False)
    model.eval()
    batch = tokenizer(*(part[rows] for part in TEXTS), padding=True, return_tensors="pt")
    expected, slopes = read(model, batch)
    tokenizer.model_max_length = limit
    prepare(model, tokenizer, Compute("cpu", "fp32"))
    assert isinstance(model, BertForSequenceClassification)
    assert isinstance(model.bert.encoder.layer[-1], FirstTokenOnly)
    found, ours = read(model, batch)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for name, slope in slopes.items():
        torch.testing.assert_close(ours[name], slope, atol=1e-6, rtol=1e-4, msg=name)


def test_scores_in_bf16_stay_near_those_in_full_precision(reward_model: Path) -> None:
    rows = votes(200, seed=2)
    exact, rough = (
        RewardScorer(reward_model, Compute("cpu", precision)).score_votes(rows) for precision in ("fp32", "bf16")
    )
    np.testing.assert_allclose(rough, exact, atol=0.01)  # 0.013 with pooler and head in bf16
    assert (rough != exact).any()


def test_what_sees_the_whole_text_stays_in_full_precision(encoder: Path) -> None:
    torch.manual_seed(0)
    model, tokenizer = load_classifier(str(encoder), trained=False)
    rough = Compute("cpu", "bf16")
    prepare(model, tokenizer, rough)
    seen = {}
    for name in ("bert.pooler.dense", "classifier"):
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)}))
    batch = tokenizer(*TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad(), autocast(rough):
        model.eval()(**batch)
    for name, (given, made) in seen.items():
        layer = model.get_submodule(name)
        assert made.dtype == torch.float32
        torch.testing.assert_close(made, torch.nn.functional.linear(given.float(), layer.weight, layer.bias))
    assert len(seen) == 2
