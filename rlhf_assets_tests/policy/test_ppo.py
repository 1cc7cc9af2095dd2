from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.ppo import Judge, train_ppo
from rlhf_assets.policy.ppo_trainer import PpoTrainer
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.weights import load_policy
from rlhf_assets_tests.policy.conftest import FP32, QUICK, constant, letters, share_of
from rlhf_assets_tests.policy.test_ppo_list import assessed, trainer

LEARNING = PpoSettings(
    updates=10, max_new_tokens=12, learning_rate=1e-2, kl_coefficient=0.01, missing_stop_penalty=0, overlong_penalty=0
)


@pytest.mark.parametrize(
    ("family", "reward", "gain", "changed"),
    [
        ("llama", share_of("e"), 0.1, {}),
        ("sharp_llama", letters, 0.07, {"lora_rank": 8, "learning_rate": 2e-2, "updates": 12}),
        ("gpt2", share_of("e"), 0.05, {"value_shapes_trunk": True, "whiten_rewards": True}),
    ],
)
def test_ppo_learns_a_rule_and_saves_a_plain_model(
    family: str,
    reward: Callable,
    gain: float,
    changed: dict,
    request: pytest.FixtureRequest,
    prompts: pd.DataFrame,
    tmp_path: Path,
):
    folder = request.getfixturevalue(family)
    figures = train_ppo(folder, prompts, reward, LEARNING.model_copy(update=changed), FP32, tmp_path)
    first, last = figures["history"][0], figures["final"]
    assert first["kl"] == pytest.approx(0, abs=1e-3)
    assert last["score"] > first["score"] + gain
    assert last["kl"] > 0.5
    assert (tmp_path / "model.safetensors").is_file()
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert not [name for name in model.state_dict() if "lora" in name or "value" in name]
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template


def test_the_saved_policy_is_the_one_that_learned(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    train_ppo(llama, prompts, share_of("e"), LEARNING, FP32, tmp_path)
    settings = LEARNING.model_copy(update={"prompts_per_update": 64})
    again = PpoTrainer(str(tmp_path), prompts.to_dict("records"), share_of("e"), settings, FP32)
    before = PpoTrainer(str(llama), prompts.to_dict("records"), share_of("e"), settings, FP32)
    assert again.collect(99, 64).scores.mean() > 2 * before.collect(99, 64).scores.mean()


def test_a_judge_without_prompts_is_told_and_the_last_update_kept(
    llama: Path, prompts: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    judge = Judge(share_of("e"), prompts.head(0))
    outcome = train_ppo(llama, prompts, share_of("e"), QUICK, FP32, tmp_path, judge)
    assert (outcome["chosen_update"], outcome["judged"]) == (None, [])
    assert "no validation prompt on which the judge could choose" in caplog.text


def test_the_policy_written_is_the_one_that_the_judge_chose(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    settings, opinions = QUICK.model_copy(update={"updates": 3, "choice_updates": 1}), iter((1, 3, 2))
    judge = Judge(lambda queries, *_: np.full(len(queries), float(next(opinions))), prompts.head(4))
    outcome = train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path, judge)
    assert (outcome["chosen_update"], outcome["final"]["update"]) == (2, 3)  # whose replies are those of update 2
    one = PpoTrainer(str(llama), prompts.to_dict("records"), share_of("e"), settings, FP32)
    one.calibrate()
    weights = [one.round() and one.learner.snapshot() for _ in range(3)]
    written = [weight.detach() for weight in load_policy(tmp_path, FP32)[0].parameters()]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(written, weights[1], strict=True))
    assert not all(torch.equal(ours, theirs) for ours, theirs in zip(written, weights[2], strict=True))


def test_the_same_seed_trains_the_same_policy(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        settings = QUICK.model_copy(update={"seed": seed})
        train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path / name)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_gradients_do_not_depend_on_micro_batches(llama: Path, prompts: pd.DataFrame):
    """Rows of unequal length: a mean of means over micro-batches would differ."""
    gradients = []
    for size in (8, 3, 1):
        one = trainer(llama, prompts, micro_batch_size=size, max_new_tokens=24)
        one.stops = [*one.stops, *range(100, 130)]
        one.calibrate()
        rollout, assessment, advantages, returns = assessed(one)
        assert len(set(rollout.lengths.tolist())) > 2
        one.learner.gradients(rollout, list(range(8)), assessment, advantages, returns)
        gradients.append(
            torch.cat([weight.grad.flatten() for weight in [*one.learner.weights, *one.learner.head.parameters()]])
        )
    assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-4)
    assert_close(gradients[2], gradients[0], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("shapes", [True, False])
def test_value_gradients_reach_the_trunk_only_when_asked(llama: Path, prompts: pd.DataFrame, shapes: bool):
    one = trainer(llama, prompts, value_shapes_trunk=shapes)
    one.calibrate()
    rollout, assessment, advantages, returns = assessed(one)
    one.learner.gradients(rollout, list(range(8)), assessment, torch.zeros_like(advantages), returns + 1)
    assert (sum(weight.grad.abs().sum().item() for weight in one.learner.weights) > 0) == shapes
    assert one.learner.head.weight.grad.abs().sum() > 0


def test_bf16_runs_and_passes_its_own_checks(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    figures = train_ppo(llama, prompts, share_of("e"), QUICK, Compute("cpu", "bf16"), tmp_path)
    assert np.isfinite(figures["final"]["score"])
    assert AutoModelForCausalLM.from_pretrained(tmp_path).dtype == torch.float32


def refused(match: str, folder: Path, prompts: pd.DataFrame, to: Path, score: object, **changed: object) -> None:
    """It fails with one clear line and publishes nothing."""
    with pytest.raises(RlhfError, match=match) as caught:
        train_ppo(folder, prompts, score, QUICK.model_copy(update=changed), FP32, to / "policy")
    assert "\n" not in str(caught.value)
    assert not (to / "policy").exists()
    assert not list(to.iterdir())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_reward_that_is_not_finite_fails(llama: Path, prompts: pd.DataFrame, tmp_path: Path, bad: float):
    def score(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        return np.array([bad, *range(len(queries) - 1)], float)

    refused("NaN or infinity for 1 of 8", llama, prompts, tmp_path, score)


def test_a_reward_that_never_varies_fails(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    refused("same score", llama, prompts, tmp_path, lambda queries, *_: np.ones(len(queries)))


def test_replies_that_are_all_empty_fail(gpt2: Path, prompts: pd.DataFrame, tmp_path: Path):
    """A policy that stops at once."""
    mute = tmp_path / "mute"
    constant(gpt2, mute, {load_policy(gpt2, FP32)[1].eos_token_id: 50.0})
    to = tmp_path / "to"
    to.mkdir()
    refused("all 8 replies are empty", mute, prompts, to, share_of("e"))


def test_a_collapse_fails(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    refused("collapsed", llama, prompts, tmp_path, share_of("e"), learning_rate=0.05, updates=6, collapse_kl=0.5)


def test_after_a_collapse_the_round_that_the_judge_chose_before_is_kept(
    llama: Path, prompts: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    settings = QUICK.model_copy(update={"learning_rate": 0.05, "updates": 6, "collapse_kl": 0.4, "choice_updates": 1})
    opinions = iter(range(9, 0, -1))  # the first is the best
    judge = Judge(lambda queries, *_: np.full(len(queries), float(next(opinions))), prompts.head(6))
    gentle = settings.model_copy(update={"learning_rate": 1e-2})
    outcome = train_ppo(llama, prompts, share_of("e"), gentle, FP32, tmp_path / "kept", judge)
    rounds = len(outcome["history"])
    assert 2 < rounds < 6
    assert outcome["chosen_update"] == 1
    assert outcome["final"]["kl"] < 0.4 < outcome["history"][-1]["kl"]
    assert f"in round {rounds}; training ends, and the policy after update 1 is kept" in caplog.text
    assert (tmp_path / "kept" / "model.safetensors").is_file()
    with pytest.raises(RlhfError, match="collapsed"):  # where the chosen one is what has collapsed
        train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path / "none", judge)
    assert not (tmp_path / "none").exists()


def test_a_loss_that_is_not_finite_fails(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts)
    one.calibrate()
    rollout, assessment, advantages, returns = assessed(one)
    with pytest.raises(RlhfError, match="not finite"):
        one.learner.learn(rollout, assessment, advantages * torch.nan, returns, first=False)


def test_no_prompts_and_greedy_sampling_fail(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    refused("needs prompts", llama, prompts.head(0), tmp_path, share_of("e"))
    with pytest.raises(ValueError, match="greater than 0"):
        PpoSettings(temperature=0.0)


def test_a_reward_model_that_dies_leaves_nothing_behind(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    calls = iter(range(3))

    def score(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        if next(calls) == 2:
            raise RlhfError("the reward model cannot be read")
        return share_of("e")(queries, responses, contexts)

    refused("cannot be read", llama, prompts, tmp_path, score, updates=4)
