"""The figures of ppo_learning by hand, and one training with what it notes."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import ppo_runs
from benchmarks.ppo_learning import collapsed, one_seed, report, too_long
from benchmarks.ppo_runs import SETTINGS, Noted, curve, difference, gain_at, gao, over_seeds, wins
from benchmarks.small_world import World, gold
from rlhf_assets.compute import Compute
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama


def test_the_curve_that_points_lie_on_is_found() -> None:
    kl = np.linspace(0.5, 60, 30)
    d = np.sqrt(kl)
    found = gao(kl, d * (2.0 - 0.8 * np.log(d)))
    assert (found["a"], found["b"], found["r2"]) == pytest.approx((2.0, 0.8, 1.0))
    assert gain_at(found, 25.0) == pytest.approx(5 * (2.0 - 0.8 * np.log(5)))
    assert found["best_kl"] == pytest.approx(np.exp(2 * (2.0 / 0.8 - 1)))  # where a - b log d - b is 0
    assert gao(kl[:9], (d * (2.0 - 0.8 * np.log(d)))[:9])["best_kl"] is None  # beyond what was seen
    assert (found["max_kl"], gain_at(found, 61.0)) == (60, None)
    scattered = gao(kl, d * (2.0 - 0.8 * np.log(d)) + np.where(np.arange(30) % 2, 1.0, -1.0))
    assert 0 < scattered["r2"] < 0.9  # type: ignore[operator]
    assert gao(kl, 3 * d)["best_kl"] is None


def test_gains_are_over_sft_in_its_deviations_and_rounds_at_no_distance_are_left_out() -> None:
    start = {"gold": 0.4, "gold_deviation": 0.1}
    history = [{"kl": kl, "gold": 0.4 + 0.1 * 3 * kl**0.5} for kl in (4.0, 9.0, 16.0)]
    assert curve([{"start": start, "history": history[:2]}], "gold")["a"] is None
    found = curve([{"start": start, "history": [{"kl": -0.01, "gold": 0.9}, *history]}], "gold")
    assert (found["a"], found["b"]) == pytest.approx((3, 0))
    assert found["rounds"] == 3


def test_wins_and_differences_are_paired_by_seed_and_prompt() -> None:
    ours, theirs = [[1.0, 2.0, 3.0], [1.0, 0.0, 0.0]], [[0.0, 2.0, 4.0], [0.0, 1.0, 0.0]]
    assert wins(ours, theirs).value == pytest.approx((1 + 0.5 + 0 + 1 + 0 + 0.5) / 6)
    assert difference(ours, theirs).value == pytest.approx(0)


def test_an_interval_is_as_wide_as_few_seeds_and_prompts_make_it() -> None:
    two_prompts = over_seeds(np.array([[1.0, 0.0]] * 4))  # of variance 1/2, however many seeds agree on it
    assert (two_prompts.low, two_prompts.high) == pytest.approx((0.5 - 1.96 * 0.5, 0.5 + 1.96 * 0.5), abs=1e-3)
    two_seeds = over_seeds(np.array([[1.0] * 50, [0.0] * 50]))  # one degree of freedom, however many prompts
    assert two_seeds.high == pytest.approx(0.5 + 12.706 * 0.5, abs=1e-3)
    one_seed = over_seeds(np.array([[1.0, 0.0]]))
    assert one_seed == two_prompts
    assert wins([[1.0] * 4] * 2, [[0.0] * 4] * 2).as_dict() == {"value": 1, "low": 1, "high": 1}
    assert wins([[1.0, 1.0], [0.0, 1.0]], [[0.0, 0.0]] * 2).high == 1


def test_intervals_hold_as_often_as_they_say() -> None:
    draw, held = np.random.default_rng(0), 0
    for _ in range(300):
        seeds, prompts = 0.03 * draw.standard_normal((4, 1)), 0.3 * draw.standard_normal((1, 200))
        found = over_seeds(seeds + prompts + 0.3 * draw.standard_normal((4, 200)))
        held += found.low < 0 < found.high
    assert 0.93 < held / 300 < 0.995


def test_a_score_notes_gold_of_what_it_is_asked() -> None:
    asked = (["How do I find work?"] * 2, ["1. Ask a union.\n2. Apply.", "No."], ["[]"] * 2)
    noted = Noted(lambda *_: np.array([1.0, 3.0]))
    assert noted(*asked).tolist() == [1, 3]
    true = gold(*asked)
    row = {"proxy": 2.0, "proxy_deviation": 1.0, "gold": true.mean(), "gold_deviation": true.std()}
    assert noted.rounds == [pytest.approx(row)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = tmp_path_factory.mktemp("world")
    settings = RewardSettings(base_model=str(tiny_encoder(place / "encoder")), epochs=1)
    train_reward(votes(60), votes(12), settings, Compute("cpu", "fp32"), place / "reward")
    prompts = pd.DataFrame(
        {
            "prompt_id": [str(i) for i in range(18)],
            "query": [f"How do I find a job {i}?" for i in range(18)],
            "context": "[]",
            "system_prompt": None,
            "side": ["train", "validation", "test"] * 6,
        }
    )
    return World(tiny_llama(place / "policy"), place / "reward", place / "reward", prompts, "tiny")


def test_a_seed_is_trained_judged_and_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo_runs, "HELD_OUT", ppo_runs.HELD_OUT.model_copy(update={"max_new_tokens": 8}))
    few = {"updates": 2, "prompts_per_update": 4, "calibration_prompts": 4, "max_new_tokens": 8, "choice_updates": 1}
    settings, compute = SETTINGS.model_copy(update=few), Compute("cpu", "fp32")
    usual = one_seed(world, settings, compute)
    assert [row["update"] for row in usual["history"]] == [1, 2]
    assert all(row["proxy"] == row["score"] for row in usual["history"])
    assert len(usual["scores"]["ppo"]["gold"]) == 6
    long = one_seed(world, too_long(settings.model_copy(update={"updates": 1})), compute)
    assert len(long["judged"]) == 2
    same = long["scores"]["last"] == long["scores"]["ppo"]
    assert same == (long["chosen_update"] == 2)
    found = report([0], [usual], [long])
    first = wins([usual["scores"]["ppo"]["gold"]], [usual["scores"]["sft"]["gold"]])
    assert (found["value"], found["ratio"]) == (first.value, first.value / (1 - first.value))
    assert found["rows"][0]["collapsed"] == collapsed(usual)
    assert [row["update"] for row in found["rows"] if row["what"] == "too long"] == [1, 2]


@pytest.mark.parametrize(("mean", "stops", "expected"), [(0.5, 0.9, False), (0.3, 0.9, True), (0.5, 0.4, True)])
def test_a_seed_has_collapsed_when_it_is_worse_than_sft_or_stops_half_as_often(
    mean: float, stops: float, expected: bool
) -> None:
    sft = {"gold": {"value": 0.4}, "stop_rate": 0.9}
    assert collapsed({"policies": {"sft": sft, "ppo": {"gold": {"value": mean}, "stop_rate": stops}}}) == expected
