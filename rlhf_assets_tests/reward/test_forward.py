"""Read sooner, a classifier says and learns what its stock class does."""

from pathlib import Path

import pytest
import torch
from transformers import BatchEncoding, BertForSequenceClassification, PreTrainedModel

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.reward.forward import FirstTokenOnly, prepare
from rlhf_assets.reward.loading import load_classifier

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
    stock, tokenizer = load_classifier(str(encoder), trained=False)
    stock.eval()
    batch = tokenizer(*(part[rows] for part in TEXTS), padding=True, return_tensors="pt")
    expected, slopes = read(stock, batch)
    tokenizer.model_max_length = limit
    prepare(stock, tokenizer, Compute("cpu", "fp32"))
    assert isinstance(stock, BertForSequenceClassification)
    assert isinstance(stock.bert.encoder.layer[-1], FirstTokenOnly)
    found, ours = read(stock, batch)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for name, slope in slopes.items():
        torch.testing.assert_close(ours[name], slope, atol=1e-6, rtol=1e-4, msg=name)


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
