"""What the report makes of pairs, when rounds are timed, and that both sides' reward is one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.ppo_speed import report
from benchmarks.ppo_speed_cells import PARTS, ours, rates
from benchmarks.shared_reward import SharedReward, train_shared_reward
from benchmarks.trl_recipe import Asked
from rlhf_assets.compute import Compute
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_llama

FP32 = Compute("cpu", "fp32")


def side(speed: float, memory: float, score: list[float]) -> dict:
    return {
        "episodes_per_second": speed,
        "seconds_per_round": 60 / speed,
        "memory_mb": memory,
        "memory_before_mb": 400.0,
        "score": score,
        "gold": [value / 10 for value in score],
        "length": [50.0] * 3,
        "stop_rate": [0.9] * 3,
        "parts": dict.fromkeys(PARTS, 1.0),
    }


def test_the_report_says_what_it_computes() -> None:
    pairs = [
        {"ours": side(12, 600, [0, 1, 3]), "trl": side(4, 1200, [0, 1, 2]), "ratio": 3.0},
        {"ours": side(10, 500, [1, 1, 4]), "trl": side(2, 1000, [0, 1, 1]), "ratio": 5.0},
        {"ours": side(20, 550, [0, 1, 3]), "trl": side(5, 1100, [0, 1, 3]), "ratio": 4.0},
    ]
    found = report(pairs, {"made_of": {}, "tried": {}, "fastest": {"ours": "bf16", "trl": "fp32"}})
    assert (found["ours"], found["peer"], found["ratio"], found["interval"]) == (12, 4, 4, [3, 5])
    rows = {row["what"]: row for row in found["rows"] if "what" in row}
    assert rows["peak memory of the process, MB"]["share"] == 0.5
    assert rows["of it grown by the training, MB"]["share"] == 0.25
    assert rows["of ours: rollout"]["share"] == pytest.approx(1 / 5)  # of 60 replies at 12 a second
    assert rows["of ours: all else"]["seconds"] == pytest.approx(0)
    score = rows["score of the replies, means over pairs, by round"]
    assert score["ours"] == pytest.approx([1 / 3, 1, 10 / 3])
    assert score["gained"] == pytest.approx({"ours": 3, "trl": 2})
    assert score["ours_less_peer_in_the_last_third"]["value"] == pytest.approx((1 + 3 + 0) / 3)


def test_the_first_round_is_not_timed() -> None:
    settings = PpoSettings(prompts_per_update=8)
    assert rates([10.0, 12.0, 14.0], settings) == {"episodes_per_second": 4, "seconds_per_round": 2}


def test_prompts_are_padded_in_front_and_known_by_their_rows() -> None:
    asked = Asked(pad=0)
    batch = asked([{"input_ids": [5, 6], "row": 3}, {"input_ids": [7], "row": 1}])
    assert batch["input_ids"].tolist() == [[5, 6], [0, 7]]
    assert (asked.rows, asked.widths) == ([[3, 1]], [2])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed")
    tiny_llama(folder / "policy")
    prompts = pd.DataFrame({"prompt_id": list("abcdef"), "query": [f"How do I {c}?" for c in "abcdef"]})
    prompts = prompts.assign(context="[]", system_prompt=None)
    prompts.to_parquet(folder / "prompts.parquet")
    few = PpoSettings(calibration_prompts=6, max_new_tokens=8)
    train_shared_reward(votes(40), prompts, folder / "policy", few, FP32, folder / "reward")
    return folder


def test_a_text_is_scored_as_its_tokens_are_by_stock_transformers(place: Path) -> None:
    reward = SharedReward(place / "reward", FP32)
    rows = [{"query": "What pays?", "response": response, "context": "[]"} for response in ("Wind.", "A bank, a loan.")]
    found = reward(*([row[name] for row in rows] for name in ("query", "response", "context")))
    for row, score in zip(rows, found, strict=True):
        (ids,) = reward.encode([row])
        assert ids[-1] == reward.tokenizer.eos_token_id
        with torch.inference_mode():
            assert reward.model(torch.tensor([ids])).logits.item() == pytest.approx(score, abs=1e-5)


def test_ours_times_its_rounds_and_tells_where_they_went(place: Path) -> None:
    settings = PpoSettings(updates=3, prompts_per_update=4, calibration_prompts=4, max_new_tokens=8)
    found = ours(place, settings, FP32)
    assert found["episodes_per_second"] > 0
    assert found["parts"].keys() == set(PARTS)
    assert sum(found["parts"].values()) <= found["seconds_per_round"]  # a round is what lies between two scorings
    assert {len(found[name]) for name in ("score", "gold", "length", "stop_rate")} == {3}
    assert np.isfinite(found["score"]).all()
