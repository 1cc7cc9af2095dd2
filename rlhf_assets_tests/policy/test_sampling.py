import math
from pathlib import Path

import pytest
import torch

from rlhf_assets import policy
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.sampling import draw, sample, seed_of
from rlhf_assets.policy.weights import load_policy
from rlhf_assets_tests.policy.conftest import FP32


def test_drawing_inverts_the_cumulative_distribution():
    """Probabilities 0, 0.2, 0, 0.3, 0.5: the borders stand at 0.2 and 0.5, and what is impossible is never drawn."""
    logits = torch.tensor([[0.0, 0.2, 0.0, 0.3, 0.5]]).log().repeat(6, 1)
    tokens, log_probs = draw(logits, torch.tensor([0.0, 0.19, 0.21, 0.49, 0.51, 1.0]), 1.0)
    assert tokens.tolist() == [1, 1, 3, 3, 4, 4]
    assert log_probs[2].item() == pytest.approx(math.log(0.3))


def test_temperature_divides_the_logits():
    logits = torch.tensor([[1.0, 2.0]])
    _, log_prob = draw(logits, torch.tensor([0.99]), 0.5)
    assert log_prob.item() == pytest.approx(4 - math.log(math.exp(2) + math.exp(4)), abs=1e-5)
    assert draw(logits, torch.tensor([0.01]), 0)[0].item() == 1  # greedy


def test_the_whole_distribution_is_drawn_from():
    """Ten thousand draws from four tokens come out as often as they should: no top-k, no top-p."""
    probabilities = torch.tensor([0.6, 0.3, 0.09, 0.01])
    uniforms = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    tokens, _ = draw(probabilities.log().repeat(10_000, 1), uniforms, 1.0)
    shares = torch.bincount(tokens, minlength=4) / 10_000
    assert (shares - probabilities).abs().max() < 0.02
    assert shares[3] > 0.005


def test_seeds_differ_in_every_part():
    assert len({seed_of(a, b, c) for a in range(3) for b in range(3) for c in range(3)}) == 27
    assert seed_of(1, 2, 3) == seed_of(1, 2, 3) >= 0
    assert len({seed_of(0), seed_of(0, 0), seed_of(0, 0, 0)}) == 3


def test_nan_logits_are_refused(llama: Path):
    model, _ = load_policy(llama, FP32)
    with torch.no_grad():
        model.model.norm.weight.fill_(torch.nan)
    with pytest.raises(RlhfError, match="NaN"):
        sample(model, [[5, 6]], [0], [2], 4, 1.0, 8)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_generate(family: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(family)
    rows = [{"query": "How do I start?"}, {"query": "And then? " * 300, "context": "[]", "system_prompt": "Be clear."}]
    answers = policy.generate(folder, rows, max_new_tokens=6, temperature=0.7, seed=1)
    assert [set(answer) for answer in answers] == [{"response", "stopped"}] * 2
    assert all(isinstance(answer["response"], str) and isinstance(answer["stopped"], bool) for answer in answers)
    assert answers == policy.generate(folder, rows, max_new_tokens=6, temperature=0.7, seed=1)
    assert answers != policy.generate(folder, rows, max_new_tokens=6, temperature=0.7, seed=2)
    greedy = [policy.generate(folder, rows, max_new_tokens=6, temperature=0, seed=seed) for seed in (1, 2)]
    assert greedy[0] == greedy[1]
    assert policy.generate(folder, []) == []
