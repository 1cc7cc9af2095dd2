"""A reward that can be tricked, a policy that PPO has really taught the trick, and what the gate says to it."""

from pathlib import Path

import numpy as np
import pandas as pd

from rlhf_assets.policy.evaluation import evaluate_policies
from rlhf_assets.policy.gate import promotion_gate
from rlhf_assets.policy.ppo import train_ppo
from rlhf_assets.policy.settings import EvaluationSettings, GateSettings
from rlhf_assets_tests.policy.conftest import FP32, share_of
from rlhf_assets_tests.policy.test_ppo import LEARNING

tricked = share_of("e")  # pays for a letter wherever it stands


def variety(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
    """What is really wanted, as the judge knows it: replies of many different signs."""
    return np.array([len(set(reply)) / max(len(reply), 1) for reply in responses])


def test_a_policy_that_tricks_its_reward_is_caught(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    train_ppo(llama, prompts, tricked, LEARNING.model_copy(update={"updates": 20}), FP32, tmp_path)
    many = pd.concat([prompts.assign(prompt_id=prompts["prompt_id"] + f"-{i}") for i in range(8)], ignore_index=True)
    many["query"] += [f" Number {i}?" for i in range(len(many))]
    figures = evaluate_policies(
        {"base": llama, "sft": llama, "ppo": tmp_path},
        many,
        {"judge": variety, "reward": tricked},
        "sft",
        EvaluationSettings(max_new_tokens=LEARNING.max_new_tokens),
        FP32,
    ).figures
    assert figures["win_rates"]["ppo_vs_sft"]["reward"]["low"] > 0.9
    reasons = promotion_gate(figures, GateSettings())
    assert any("the judge does not clearly prefer it" in reason for reason in reasons)
    assert any("it loses its language" in reason for reason in reasons)  # which no judge is asked for
