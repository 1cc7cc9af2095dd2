from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from rlhf_assets import policy
from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.chat import load_tokenizer
from rlhf_assets.policy.settings import SftSettings
from rlhf_assets.policy.sft import arguments, tokenize, train_sft, well_rated
from rlhf_assets_tests.policy.conftest import FP32


@pytest.fixture
def examples() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query": [f"How do I start {i}?" for i in range(40)],
            "context": "[]",
            "system_prompt": None,
            "response": "Ask your utility.",
            "score": [1.0] * 32 + [0.0] * 8,
        }
    )


@pytest.mark.parametrize(("family", "lora_rank"), [("llama", None), ("sharp_gpt2", 16)])
def test_sft_learns_the_good_answers_and_to_stop(
    family: str, lora_rank: int | None, request: pytest.FixtureRequest, examples: pd.DataFrame, tmp_path: Path
):
    base = request.getfixturevalue(family)
    settings = SftSettings(
        base_model=str(base), epochs=20, learning_rate=2e-2, lora_rank=lora_rank, batch_size=8, minimum_rows=10
    )
    figures = train_sft(examples, settings, FP32, tmp_path / "sft")
    assert (figures["answers"], figures["answers_left_out"]) == (32, 0)
    assert len(figures["losses"]) == 80
    assert figures["last_loss"] < 0.75 * figures["first_loss"]
    answers = policy.generate(tmp_path / "sft", [{"query": "How do I start 7?"}], temperature=0)
    assert answers == [{"response": "Ask your utility.", "stopped": True}]
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path / "sft", output_loading_info=True)
    assert not any(info.values())
    assert model.dtype == torch.float32


def test_no_more_than_the_maximum_is_learned(llama: Path, examples: pd.DataFrame, tmp_path: Path):
    settings = SftSettings(base_model=str(llama), epochs=1, minimum_rows=10, maximum_rows=12)
    figures = train_sft(examples, settings, FP32, tmp_path / "sft")
    assert (figures["answers"], figures["answers_left_out"]) == (12, 20)


def test_the_answer_alone_is_learned_with_its_stop_token(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    row = tokenize(tokenizer, {"query": "Why?", "context": "[]", "system_prompt": None, "response": " So. "}, 512)
    learned = [i for i, kept in zip(row["input_ids"], row["completion_mask"], strict=True) if kept]
    assert tokenizer.decode(learned) == "So.<|im_end|>"
    assert tokenizer.decode(row["input_ids"]).startswith("<|im_start|>user\nWhy?<|im_end|>")
    assert learned == row["input_ids"][-len(learned) :]


def test_an_answer_beyond_the_limit_does_not_teach_stopping(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    row = tokenize(tokenizer, {"query": "Why?", "response": "word " * 500}, 64)
    assert len(row["input_ids"]) <= 64
    assert row["input_ids"][-1] != tokenizer.eos_token_id
    assert sum(row["completion_mask"]) == 32


def test_an_answer_counts_once_with_its_mean_rating_and_the_best_come_first():
    votes = pd.DataFrame(
        {
            "query": ["a", "a", "b", "c", "d"],
            "context": "[]",
            "response": ["x", "x", "y", "z", "w"],
            "score": [1.0, 0.0, 0.75, 1.0, 0.5],
        }
    )
    assert well_rated(votes, SftSettings(minimum_rows=1, minimum_score=0.5))["query"].tolist() == ["c", "b", "a", "d"]


def test_too_few_good_answers_are_refused(llama: Path, examples: pd.DataFrame, tmp_path: Path):
    with pytest.raises(RlhfError, match="only 32 answers"):
        train_sft(examples, SftSettings(base_model=str(llama), minimum_rows=33), FP32, tmp_path / "sft")
    assert not (tmp_path / "sft").exists()


def test_a_loss_that_diverges_is_refused(llama: Path, examples: pd.DataFrame, tmp_path: Path):
    settings = SftSettings(base_model=str(llama), learning_rate=1e30, warmup_share=0.0, batch_size=8, minimum_rows=10)
    with pytest.raises(RlhfError, match="the loss of SFT is not finite"):
        train_sft(examples, settings, FP32, tmp_path / "sft")
    assert not (tmp_path / "sft").exists()


def test_of_several_gpus_one_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """TRL refuses what transformers makes of several by itself."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert arguments(SftSettings(), Compute("cuda", "fp32"), str(tmp_path)).n_gpu == 1
