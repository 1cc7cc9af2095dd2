"""How a policy came out, and whether it may be used, as an HTML page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rlhf_assets.policy.gate import incumbent_of, promotion_gate
from rlhf_assets.policy.generated_text import FAULTS
from rlhf_assets.policy.plots import SCORERS, by_kind, training_history, win_rates
from rlhf_assets.policy.settings import GateSettings
from rlhf_assets.report import EMPTY, Table, interval, number, page

EXPECTED = "A policy is promoted when the gate finds nothing; a rejected one is not used."
ALL_WELL = "The gate finds nothing", "Unless it is an experiment, the policy may be promoted."
Figures = Mapping[str, Any]


def report_html(
    week: str,
    figures: Figures,
    ppo: Figures,
    settings: GateSettings,
    answers: Sequence[tuple[str, Mapping[str, str]]],
    pictures: Mapping[str, bytes],
) -> str:
    """The page, from the `figures` of `evaluate_policies` and those of `train_ppo` for the policy; see `pictures`.

    answers: questions with the answer of each policy. They are shown to whoever may open the page, so they must be
    nobody's own.
    """
    reasons = [reason[:1].upper() + reason[1:] + "." for reason in promotion_gate(figures, settings)]
    return page(
        "PPO policy",
        week,
        headline(figures, ppo),
        [(reasons, EXPECTED)] if reasons else [],
        ALL_WELL,
        [table for table in tables(figures, answers) if table.rows],
        pictures,
    )


def pictures(figures: Figures, ppo: Figures) -> dict[str, bytes]:
    """All there is to draw, by title."""
    drawn = {"Win rates": win_rates(figures["win_rates"])}
    incumbent = incumbent_of(figures)
    if kinds := figures["by_kind"].get(f"ppo_vs_{incumbent}"):
        drawn["Win rates by kind of prompt"] = by_kind(kinds, f"PPO against {spoken(incumbent)}, by kind of prompt")
    if ppo.get("history"):  # the tallest, so that it stands last
        drawn["Training"] = training_history(ppo["history"], ppo.get("judged", ()), ppo.get("chosen_update"))
    return drawn


def headline(figures: Figures, ppo: Figures) -> dict[str, str]:
    """The few figures to read first, by their caption."""
    incumbent, policy = incumbent_of(figures), figures["policies"]["ppo"]
    wins = figures["win_rates"][f"ppo_vs_{incumbent}"]
    chosen = ppo.get("chosen_update")
    return {
        "held-out prompts": str(figures["prompts"]),
        f"of them won against {spoken(incumbent)}, by the judge": interval(wins.get("judge"), percent),
        "of them won at equal length": interval(wins.get("length_controlled"), percent),
        "nats a reply from the SFT policy": told(policy["kl"], number),
        "of its replies are faulty": told(policy["faulty"], percent),
        "update of PPO that the judge chose": EMPTY if chosen is None else str(chosen),
    }


def tables(figures: Figures, answers: Sequence[tuple[str, Mapping[str, str]]]) -> Iterator[Table]:
    policies, pairs = figures["policies"], figures["win_rates"]
    scorers = list(next(iter(pairs.values()), {}))
    yield Table(
        "Win rates",
        "How often the first policy's answer scores above the other's on the same prompt, with 95 % intervals; a tie "
        "counts one half. At equal length is what a logistic regression expects of answers with as many characters "
        "(Dubois 2024): less than the plain rate where length won.",
        ("", *(SCORERS.get(name, name) for name in scorers)),
        [(spoken(pair), *(interval(of[name], percent) for name in scorers)) for pair, of in pairs.items()],
    )
    yield Table(
        "Win rates by kind of prompt",
        "By the judge alone. A segment is that of the person who asked first; on few prompts chance decides.",
        ("", "prompts", "win rate"),
        [
            (f"{spoken(pair)}, {kind}", str(of["n"]), interval(of["judge"], percent))
            for pair, kinds in figures["by_kind"].items()
            for kind, of in kinds.items()
        ],
    )
    by = [name for name in scorers if name not in SCORERS]
    yield Table(
        "The policies",
        "Mean scores with 95 % intervals, and the shape of their answers. Best of n is the SFT policy's reply that the "
        f"reward model likes best of {figures['best_of']}: what the reward is worth without training. KL is the "
        "distance from the SFT policy in nats a reply, that of best of n a bound.",
        ("", *by, "KL", "tokens a reply", "stopped by itself", "repeated trigrams"),
        [
            (
                spoken(name),
                *(interval(of[scorer], number) for scorer in by),
                told(of["kl"], number),
                told(of["length"], whole),
                told(of["stop_rate"], percent),
                told(of["repetition"], percent),
            )
            for name, of in policies.items()
        ],
    )
    yield Table(
        "What is plainly wrong with their texts",
        "Share of the replies that have any fault, and that each has; one reply may have several.",
        ("of the replies", *map(spoken, policies)),
        [
            (said, *(told(of[name], percent) for of in policies.values()))
            for name, said in {"faulty": "have any fault", **FAULTS}.items()
        ],
    )
    yield Table(
        "Their language",
        "On plain English and plain questions that have nothing to do with the training: a policy must not pay for its "
        "reward with its language. Policies of different vocabularies can be compared by nats a character alone.",
        ("", "perplexity", "nats a character", "plain questions right"),
        [
            (
                spoken(name),
                told(of["perplexity"], number),
                told(of["nats_per_character"], precise),
                told(of["questions_right"], percent),
            )
            for name, of in policies.items()
            if of["perplexity"] is not None
        ],
    )
    for question, said in answers:
        yield Table(
            question,
            "A question that comes with the project.",
            ("", "answer"),
            [(spoken(policy), answer or EMPTY) for policy, answer in said.items()],
            prose=True,
        )


def spoken(name: str) -> str:
    """A policy or pair of them as people read it."""
    words = name.replace("best_of_n", "best of n").replace("_vs_", " against ").split(" ")
    return " ".join({"sft": "SFT", "ppo": "PPO"}.get(word, word) for word in words)


def told(value: float | None, shown: Callable[[float], str]) -> str:
    return EMPTY if value is None or value != value else shown(value)


def percent(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def whole(value: float) -> str:
    return f"{value:.0f}"


def precise(value: float) -> str:
    return f"{value:.3f}"
