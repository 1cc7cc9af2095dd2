import pytest

from rlhf_assets.policy.gate import promotion_gate
from rlhf_assets.policy.settings import GateSettings


def figures(low: float | None, kl: float | None, promoted_low: float | None = None) -> dict:
    """As evaluate_policies returns them; gold says the opposite of the judge."""
    pairs = {"ppo_vs_sft": {"judge": {"value": 0.6, "low": low, "high": 0.7}, "gold": {"low": 0.9}}}
    policies = {"sft": {"kl": 0.0}, "ppo": {"kl": kl}}
    if promoted_low is not None:
        pairs["ppo_vs_promoted"] = {"judge": {"value": 0.6, "low": promoted_low, "high": 0.7}}
        policies["promoted"] = {"kl": 3.0}
    return {"win_rates": pairs, "policies": policies, "prompts": 150}


def test_a_clear_winner_within_its_budget_passes():
    assert promotion_gate(figures(0.51, 39.0), GateSettings()) == []


@pytest.mark.parametrize("low", [0.5, 0.3, None])
def test_the_judges_interval_must_lie_above_one_half(low: float | None):
    (reason,) = promotion_gate(figures(low, 5.0), GateSettings())
    assert "the sft policy" in reason


@pytest.mark.parametrize("kl", [40.1, float("nan"), None])
def test_kl_must_be_within_its_budget(kl: float | None):
    (reason,) = promotion_gate(figures(0.6, kl), GateSettings())
    assert "at most 40" in reason


def test_the_incumbent_is_the_promoted_policy_where_there_is_one():
    assert promotion_gate(figures(0.2, 5.0, promoted_low=0.6), GateSettings()) == []
    (reason,) = promotion_gate(figures(0.9, 5.0, promoted_low=0.4), GateSettings())
    assert "the promoted policy" in reason


def test_few_prompts_prove_nothing():
    (reason,) = promotion_gate({**figures(0.9, 5.0), "prompts": 149}, GateSettings())
    assert "on 149 held-out prompts only" in reason


def test_every_reason_is_named():
    assert len(promotion_gate(figures(0.4, 90.0), GateSettings())) == 2
