from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from rlhf_assets.compute import Compute
from rlhf_assets.policy import log_probs as module
from rlhf_assets.policy.batching import pad_right
from rlhf_assets.policy.log_probs import reply_states, token_log_probs
from rlhf_assets.policy.weights import load_policy
from rlhf_assets_tests.policy.conftest import FP32

PROMPTS, REPLIES = [[5, 6, 7, 8, 9], [10]], [[11, 12], [13, 14, 15]]


def plainly(model: torch.nn.Module, temperature: float) -> torch.Tensor:
    """Row by row, unpadded, whole vocabulary, stock forward."""
    parts = []
    for prompt, reply in zip(PROMPTS, REPLIES, strict=True):
        logits = model(torch.tensor([prompt + reply])).logits[0] / temperature
        every = logits.log_softmax(-1)
        parts += [every[len(prompt) - 1 + i, token] for i, token in enumerate(reply)]
    return torch.stack(parts)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_values_and_gradients_equal_the_plain_way(
    family: str, temperature: float, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "CHUNK", 2)  # so that the last chunk is a short one
    model, tokenizer = load_policy(request.getfixturevalue(family), FP32)
    upstream = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.1])

    plain = plainly(model, temperature)
    (plain * upstream).sum().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()

    batch = pad_right(PROMPTS, REPLIES, tokenizer.pad_token_id, "cpu")
    ours = token_log_probs(model, reply_states(model, batch, FP32), batch.targets, temperature, FP32)
    (ours * upstream).sum().backward()
    assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    for name, p in model.named_parameters():
        assert_close(p.grad, expected[name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_bf16_stays_near(llama: Path):
    model, tokenizer = load_policy(llama, FP32)
    batch = pad_right(PROMPTS, REPLIES, tokenizer.pad_token_id, "cpu")
    bf16 = Compute("cpu", "bf16")
    ours = token_log_probs(model, reply_states(model, batch, bf16), batch.targets, 1.0, bf16)
    assert ours.dtype == torch.float32
    assert_close(ours, plainly(model, 1.0), atol=0.05, rtol=0)
    ours.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
