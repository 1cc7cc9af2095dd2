"""The small policy's data, and that it learns to speak and to stop."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.small_world import (
    SmallPolicySettings,
    answers_to_learn,
    gold,
    gold_of_steps,
    prompts_of,
    train_policy,
)
from rlhf_assets.compute import Compute
from rlhf_assets.demo.taste import step_taste, taste
from rlhf_assets.feedback.split import Dataset
from rlhf_assets.policy.answers import answer_with


def rated(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query", "response", "kind"]).assign(context="[]")


def test_answers_are_of_the_training_side_and_prompts_of_one_side_each() -> None:
    one, two = ("a", "1. yes", "message"), ("b", "1. no", "message")
    dataset = Dataset(
        week="2026-01-04",
        train=rated(one, one, ("a", "yes", "step"), ("a", " ", "message")),
        validation=rated(("c", "why", "message")),
        test=rated(("d", "so", "message")),
        judge_train=rated(one, two),
        judge_validation=rated(("c", "why", "message")),
        judge_test=rated(("e", "so", "message")),
        newest=rated(),
        judge_newest=rated(),
        conflicts=rated(("f", "hm", "message")),
        superseded=0,
    )
    assert answers_to_learn(dataset)[["query", "response"]].to_numpy().tolist() == [["a", "1. yes"], ["b", "1. no"]]
    prompts = prompts_of(dataset)
    assert {side: rows["query"].tolist() for side, rows in prompts.groupby("side")} == {
        "train": ["a", "b"],
        "validation": ["c"],
        "test": ["d", "e"],
    }
    assert not prompts["prompt_id"].duplicated().any()


def test_gold_of_steps_is_the_mean_of_their_tastes() -> None:
    answer, query = "1. Ask a bank for a loan.\n2. It depends.", "How do I pay for it?"
    asked = ([query, query], [answer, " "], ["[]", "[]"])
    steps = [step_taste(query, "1. Ask a bank for a loan."), step_taste(query, "2. It depends.")]
    assert gold_of_steps(*asked).tolist() == [pytest.approx(np.mean(steps)), 0]
    assert gold(*asked).tolist() == [taste(query, answer), 0]


def test_a_small_policy_says_what_it_has_learned_and_stops(tmp_path: Path) -> None:
    rows = {"query": ["What pays?", "Who helps?"], "context": "[]", "response": ["1. Wind pays.", "1. A union."]}
    settings = SmallPolicySettings(vocabulary=300, layers=2, width=64, passes=100, batch_size=2, learning_rate=3e-3)
    train_policy(pd.DataFrame(rows), settings, Compute("cpu", "fp32"), tmp_path)
    said = answer_with(str(tmp_path), [{"query": query} for query in rows["query"]], 40, 0.0, 0)
    assert said == [{"response": response, "stopped": True} for response in rows["response"]]
