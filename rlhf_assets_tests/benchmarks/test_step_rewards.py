"""Rewards of the arms worked by hand, and that `outcome` and `placed` pay the same in all."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.ppo_runs import SETTINGS
from benchmarks.step_rewards import ANSWER, OUTCOME, PLACED, SHARE, OutcomeWithSteps, arm, winner
from rlhf_assets.compute import Compute
from rlhf_assets.policy.rewards import RewardScale, token_rewards
from rlhf_assets.policy.sampling import Reply
from rlhf_assets.policy.step_rewards import increments, place, steps_of
from rlhf_assets.policy.weights import load_policy
from rlhf_assets_tests.tiny_models import tiny_llama

ANSWERS = ["1. one\n2. two", "1. three", ""]
OF_ANSWERS = np.array([1.0, 2.0, 3.0])
OF_STEPS = {"1. one": 2.0, "2. two": 3.0, "1. three": 7.0}


def of_answers(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
    return OF_ANSWERS[[ANSWERS.index(response) for response in responses]]


def of_steps(queries: list[str], steps: list[str], contexts: list[str], before: list[str]) -> np.ndarray:
    assert [len(json.loads(one)) for one in before] == [int(step[0]) - 1 for step in steps]
    assert [(query, context) for query, context in zip(queries, contexts, strict=True)] == [
        ("first", "[]") if step in ("1. one", "2. two") else ("second", "[1]") for step in steps
    ]
    return np.array([OF_STEPS[step] for step in steps])


def test_outcome_is_the_answer_and_the_mean_of_its_steps_in_deviations() -> None:
    score = OutcomeWithSteps(of_answers, of_steps, 0.25)
    asked = (["first", "second", "third"], ANSWERS, ["[]", "[1]", "[]"])
    of_answer = np.array([-1, 0, 1]) / np.sqrt(2 / 3)
    one, two, three = np.array([-2, -1, 3]) / np.sqrt(14 / 3)
    by_hand = 0.75 * of_answer + 0.25 * np.array([(one + two) / 2, three, 0])
    assert score(*asked).tolist() == pytest.approx(by_hand.tolist())
    later = score(["second"], ["1. three"], ["[1]"])  # on the scale of the first replies
    assert later.tolist() == pytest.approx([0.25 * three])


def test_outcome_and_placed_pay_a_reply_the_same(tmp_path: Path) -> None:
    _, tokenizer = load_policy(tiny_llama(tmp_path), Compute("cpu", "fp32"))
    replies = [Reply([*tokenizer(text)["input_ids"], tokenizer.eos_token_id], [], True) for text in ANSWERS]
    contexts = ["[]", "[1]", "[]"]
    steps = steps_of(tokenizer, replies, ANSWERS)
    queries = ["first", "second", "third"]
    earned = of_steps([queries[i] for i in steps.rows], steps.texts, [contexts[i] for i in steps.rows], steps.before)
    answers = of_answers(queries, ANSWERS, contexts)
    lengths = torch.tensor([len(reply.tokens) for reply in replies])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    scales = [RewardScale.from_reference(scores, clip=5, running=False) for scores in (answers, earned)]
    whole = torch.tensor((1 - SHARE) * scales[0](answers), dtype=torch.float32)
    rewards = token_rewards(whole, torch.zeros(mask.shape), mask, 0.0)
    placed = (rewards + place(increments(SHARE * scales[1](earned), steps), steps, mask)).sum(1)
    outcome = OutcomeWithSteps(of_answers, of_steps, SHARE)(queries, ANSWERS, contexts)
    assert placed.tolist() == pytest.approx(outcome.tolist(), abs=1e-6)


def test_placed_alone_has_step_rewards() -> None:
    assert [arm(name, SETTINGS) for name in (ANSWER, OUTCOME)] == [SETTINGS, SETTINGS]
    assert arm(PLACED, SETTINGS).step_share == SHARE


def test_an_arm_wins_that_is_better_than_both_others_for_sure() -> None:
    def pair(ours: str, theirs: str, low: float, high: float) -> dict:
        return {"arms": [ours, theirs], "gold": {"difference": {"low": low, "high": high}}}

    sure = [pair(PLACED, OUTCOME, -0.2, -0.1), pair(PLACED, ANSWER, -1, 1), pair(OUTCOME, ANSWER, 0.1, 0.2)]
    assert winner(sure, "gold") == OUTCOME
    assert winner([*sure[:2], pair(OUTCOME, ANSWER, -0.1, 0.2)], "gold") is None
