"""Whether a policy may replace the one in use; its reasons are sentences for the person who asks why not."""

from collections.abc import Mapping
from typing import Any

from rlhf_assets.policy.settings import GateSettings


def promotion_gate(figures: Mapping[str, Any], settings: GateSettings) -> list[str]:
    """Reasons against promoting "ppo", none of them meaning that it passes; the judge decides, gold is never looked at.

    figures: what `evaluate_policies` returns. The incumbent is the policy "promoted" in an earlier week where there is
    one, else "sft". A figure that is missing or NaN (null in a card) speaks against.
    """
    incumbent = "promoted" if "promoted" in figures["policies"] else "sft"
    low = figures["win_rates"][f"ppo_vs_{incumbent}"]["judge"]["low"]
    kl = figures["policies"]["ppo"]["kl"]
    reasons = []
    if figures["prompts"] < settings.minimum_prompts:
        reasons.append(
            f"it was compared on {figures['prompts']} held-out prompts only and must be on {settings.minimum_prompts}"
        )
    if low is None or not low > settings.win_rate:
        reasons.append(
            f"the judge does not clearly prefer it to the {incumbent} policy: its win rate may be as low as "
            f"{show(low)} and must surely lie above {settings.win_rate:.2f}"
        )
    if kl is None or not kl <= settings.kl_budget:
        reasons.append(
            f"its distance from the SFT policy is {show(kl)} nats a reply and must be at most {settings.kl_budget:.0f}"
        )
    return reasons


def show(value: float | None) -> str:
    """A figure for a sentence."""
    return "unknown" if value is None else f"{value:.2f}"
