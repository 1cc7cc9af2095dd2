"""Whether a policy may replace the one in use; its reasons are sentences for the person who asks why not."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_assets.policy.generated_text import FAULTS
from rlhf_assets.policy.settings import GateSettings

Figures = Mapping[str, Any]


def promotion_gate(figures: Figures, settings: GateSettings) -> list[str]:
    """Reasons against promoting "ppo", none of them meaning that it passes; the judge decides, gold is never looked at.

    figures: what `evaluate_policies` returns. The incumbent is the policy "promoted" in an earlier week where there is
    one, else "sft": the judge compares with that. What a training does to a policy is held against "sft", which it
    started from. A figure that is missing or NaN (null in a card) speaks against.
    """
    return [*preferred(figures, settings), *close_to_sft(figures, settings), *still_speaks(figures, settings)]


def incumbent_of(figures: Figures) -> str:
    return "promoted" if "promoted" in figures["policies"] else "sft"


def preferred(figures: Figures, settings: GateSettings) -> Iterator[str]:
    """Against a policy that the judge does not prefer: on the whole, at equal length, on every large kind of prompt."""
    incumbent, prompts = incumbent_of(figures), figure(figures, "prompts")
    pair = f"ppo_vs_{incumbent}"
    if not prompts >= settings.minimum_prompts:
        yield f"it was compared on {count(prompts)} held-out prompts only and must be on {settings.minimum_prompts}"
    low = figure(figures, "win_rates", pair, "judge", "low")
    if not low > settings.win_rate:
        yield (
            f"the judge does not clearly prefer it to the {incumbent} policy: its win rate may be as low as "
            f"{show(low)} and must surely lie above {settings.win_rate:.2f}"
        )
    low = figure(figures, "win_rates", pair, "length_controlled", "low")
    if math.isnan(low):
        yield (
            f"nobody can tell its wins over the {incumbent} policy from the length of its answers: its win rate at "
            "equal length is unknown, as where hardly two answers are equally long"
        )
    elif not low > settings.win_rate:
        yield (
            f"it may owe its wins over the {incumbent} policy to the length of its answers: at equal length its win "
            f"rate may be as low as {show(low)} and must surely lie above {settings.win_rate:.2f}"
        )
    kinds = figures.get("by_kind", {}).get(pair)
    if not kinds:
        yield f"nobody knows on which kinds of prompts it is better or worse than the {incumbent} policy"
    for kind, of in (kinds or {}).items():
        high, asked = figure(of, "judge", "high"), figure(of, "n")
        if not asked < settings.minimum_kind_prompts and not high >= 0.5:
            yield (
                f"on {count(asked)} prompts of kind {kind} the judge clearly prefers the {incumbent} policy: its "
                f"win rate there is at most {show(high)}"
            )


def close_to_sft(figures: Figures, settings: GateSettings) -> Iterator[str]:
    """Against a policy that went too far from where it started, by its distance and the length of its replies."""
    kl = figure(figures, "policies", "ppo", "kl")
    if not kl <= settings.kl_budget:
        yield (
            f"its distance from the SFT policy is {show(kl)} nats a reply and must be at most {settings.kl_budget:.0f}"
        )
    ours, theirs = both(figures, "length")
    shortest, longest = theirs / settings.length_factor, theirs * settings.length_factor
    if not shortest <= ours <= longest:
        yield (
            f"its replies are {show(ours)} tokens long on average, the SFT policy's {show(theirs)}; they must be "
            f"between {show(shortest)} and {show(longest)}"
        )
    ours, theirs = both(figures, "stop_rate")
    if not ours >= theirs - settings.stop_rate_loss:
        yield (
            f"{share(ours)} of its replies end by themselves, of the SFT policy's {share(theirs)}; it may lose at most "
            f"{share(settings.stop_rate_loss)}"
        )


def still_speaks(figures: Figures, settings: GateSettings) -> Iterator[str]:
    """Against a policy that repeats itself, writes what no answer should be, or lost its language."""
    ours, theirs = both(figures, "repetition")
    if not ours <= theirs + settings.repetition_rise:
        yield (
            f"it repeats itself: {share(ours)} of the trigrams of a reply stood in it before, of the SFT policy's "
            f"{share(theirs)}; they may rise by at most {share(settings.repetition_rise)}"
        )
    ours, theirs = both(figures, "faulty")
    if not ours <= theirs + settings.faulty_rise:
        yield (
            f"{share(ours)} of its replies are faulty, of the SFT policy's {share(theirs)}; they may rise by at most "
            f"{share(settings.faulty_rise)}{worst_faults(figures)}"
        )
    ours, theirs = both(figures, "perplexity")
    if not ours <= theirs * settings.perplexity_factor:
        yield (
            f"it loses its language: its perplexity on plain text is {show(ours)}, the SFT policy's {show(theirs)}, "
            f"and must be at most {settings.perplexity_factor:g} times that"
        )
    ours, theirs = both(figures, "questions_right")
    if not ours >= theirs - settings.questions_loss:
        yield (
            f"it forgets what it knew: it has {share(ours)} of the plain questions right, the SFT policy "
            f"{share(theirs)}; it may lose at most {share(settings.questions_loss)}"
        )


def worst_faults(figures: Figures) -> str:
    """Which faults are more frequent than the SFT policy's, in words."""
    risen = [
        f"{share(ours)} {said}"
        for name, said in FAULTS.items()
        for ours, theirs in [both(figures, name)]
        if ours > theirs
    ]
    return f" ({', '.join(risen)})" if risen else ""


def both(figures: Figures, name: str) -> tuple[float, float]:
    """A figure of the candidate and of the SFT policy."""
    return figure(figures, "policies", "ppo", name), figure(figures, "policies", "sft", name)


def figure(figures: Any, *path: str) -> float:
    """The number that stands there, NaN where there is none: no comparison with that holds."""
    for name in path:
        figures = figures.get(name) if isinstance(figures, Mapping) else None
    return math.nan if figures is None else float(figures)


def show(value: float) -> str:
    """A figure for a sentence."""
    return "unknown" if math.isnan(value) else f"{value:.2f}"


def share(value: float) -> str:
    return "an unknown share" if math.isnan(value) else f"{value:.1%}".replace(".0%", "%")


def count(value: float) -> str:
    return "an unknown number of" if math.isnan(value) else f"{value:.0f}"
