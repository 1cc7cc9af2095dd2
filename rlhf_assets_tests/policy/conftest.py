"""Tiny policies and prompts that the policy's tests share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rlhf_assets.compute import Compute
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.weights import load_policy, save_policy
from rlhf_assets_tests.tiny_models import tiny_gpt2, tiny_llama

FP32 = Compute("cpu", "fp32")
QUICK = PpoSettings(
    updates=2, prompts_per_update=8, micro_batch_size=4, calibration_prompts=8, max_new_tokens=8, learning_rate=1e-3
)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("policy") / "llama")


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gpt2(tmp_path_factory.mktemp("policy") / "gpt2")


@pytest.fixture(scope="session")
def prompts() -> pd.DataFrame:
    """Twenty prompts of different length; some with a context or a system prompt."""
    turns = '[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "How can I help?"}]'
    return pd.DataFrame(
        {
            "prompt_id": [f"p{i:02}" for i in range(20)],
            "query": ["How do I find a job?" + " In solar energy?" * (i % 4) for i in range(20)],
            "context": [turns if i % 5 == 0 else "[]" for i in range(20)],
            "system_prompt": ["Be clear." if i % 3 == 0 else None for i in range(20)],
        }
    )


@pytest.fixture(scope="session")
def sharp_llama(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharp(llama, tmp_path_factory.mktemp("policy") / "sharp_llama")


@pytest.fixture(scope="session")
def sharp_gpt2(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharp(gpt2, tmp_path_factory.mktemp("policy") / "sharp_gpt2")


def sharp(folder: Path, to: Path) -> Path:
    """The same model with a head that an adapter can speak through: as initialised all its logits stay near 0."""
    model, tokenizer = load_policy(folder, FP32)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(10)
    save_policy(model, tokenizer, to)
    return to


def constant(gpt2: Path, to: Path, logits: dict[int, float]) -> torch.Tensor:
    """A policy whose next token never depends on anything: these logits, 0 elsewhere. Returns them, (vocabulary,)."""
    model, tokenizer = load_policy(gpt2, FP32)
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(torch.eye(32)[0])  # what the head sees: its first column is the logits
        column = model.lm_head.weight[:, 0].zero_()
        for token, logit in logits.items():
            column[token] = logit
    save_policy(model, tokenizer, to)
    return column.detach().clone()


def share_of(letter: str) -> Callable[[list[str], list[str], list[str]], np.ndarray]:
    """A reward that a tiny policy can learn: how much of a reply is this letter."""

    def score(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        assert len(queries) == len(responses) == len(contexts)
        return np.array([reply.count(letter) / max(len(reply), 1) for reply in responses])

    return score


def letters(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
    """An easier rule, for half of all tokens fulfil it: how much of a reply is letters."""
    return np.array([sum(c.isascii() and c.isalpha() for c in reply) / max(len(reply), 1) for reply in responses])
