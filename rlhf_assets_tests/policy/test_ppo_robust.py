"""What a week may bring PPO: each ends in a policy, or in one clear line with nothing half-written."""

import logging
from pathlib import Path

import pandas as pd
import pytest
from transformers import AutoModelForCausalLM

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy import ppo
from rlhf_assets.policy.ppo import train_ppo
from rlhf_assets.policy.weights import load_policy
from rlhf_assets_tests.full_disk import disk_for
from rlhf_assets_tests.policy.conftest import FP32, QUICK, constant, share_of


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # gpt2 has neither a pad token nor a chat template
def test_empty_and_endless_prompts_are_answered(family: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    queries = ["", " ", "?", "What pays best? " * 1000, "\n\n", "é✓ 日本 🎉"]
    prompts = pd.DataFrame({"prompt_id": list("abcdef"), "query": queries, "context": "[]", "system_prompt": None})
    settings = QUICK.model_copy(update={"max_prompt_tokens": 4096})
    folder = request.getfixturevalue(family)
    assert len(load_policy(folder, FP32)[1](queries[3])["input_ids"]) > 4000
    figures = train_ppo(folder, prompts, share_of("e"), settings, FP32, tmp_path / "policy")
    assert figures["final"]["update"] == 2
    AutoModelForCausalLM.from_pretrained(tmp_path / "policy")


def test_a_policy_that_never_stops_is_cut_and_pays_for_it(gpt2: Path, prompts: pd.DataFrame, tmp_path: Path) -> None:
    constant(gpt2, tmp_path / "endless", {load_policy(gpt2, FP32)[1].eos_token_id: -50.0})
    free, pays = (
        train_ppo(
            tmp_path / "endless",
            prompts,
            share_of("e"),
            QUICK.model_copy(update={"missing_stop_penalty": penalty, "running_scale": False}),
            FP32,
            tmp_path / f"policy {penalty}",
        )["history"][0]
        for penalty in (0.0, 2.0)
    )
    assert (free["stop_rate"], free["length"]) == (0, QUICK.max_new_tokens)
    assert pays["reward"] == pytest.approx(free["reward"] - 2.0, abs=1e-4)


def test_a_disk_that_is_full_at_a_checkpoint(llama: Path, prompts: pd.DataFrame, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"checkpoint_updates": 1})
    kept, policy = tmp_path / "kept" / "week.pt", tmp_path / "policy"
    with disk_for(50_000), pytest.raises(RlhfError, match="is the disk full") as caught:
        train_ppo(llama, prompts, share_of("e"), settings, FP32, policy, checkpoint=kept)
    assert "\n" not in str(caught.value)
    assert not policy.exists()
    assert list(kept.parent.iterdir()) == []


def test_a_disk_that_is_full_at_the_end_keeps_what_was_learned(
    llama: Path,
    prompts: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings, kept = QUICK.model_copy(update={"checkpoint_updates": 2}), tmp_path / "kept" / "week.pt"
    save = ppo.save_policy

    def save_on_a_full_disk(*given: object) -> None:
        with disk_for(10_000):
            save(*given)

    with monkeypatch.context() as full:
        full.setattr(ppo, "save_policy", save_on_a_full_disk)
        with pytest.raises(RlhfError, match="is the disk full") as caught:
            train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path / "policy", checkpoint=kept)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "policy").glob("*"))
    with caplog.at_level(logging.INFO):
        train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path / "policy", checkpoint=kept)
    assert "ppo goes on from its checkpoint after 2 of 2 updates" in caplog.messages
    AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
