from typing import Any

import numpy as np
import pytest

from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.policy.comparison import Answers, compare
from rlhf_assets.policy.gate import promotion_gate
from rlhf_assets.policy.settings import GateSettings
from rlhf_assets_tests.policy.planted import advice, good_figures, planted_answers

NAN = float("nan")
PAIR = ("win_rates", "ppo_vs_sft")
N = 160


def changed(figures: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The figures with another value there; one that is MISSING is left out."""
    name, *rest = path
    inner = changed(figures[name], tuple(rest), value) if rest else value
    return {**{key: old for key, old in figures.items() if key != name}, **({} if inner is MISSING else {name: inner})}


MISSING = object()


@pytest.mark.parametrize("incumbent", ["sft", "promoted"])
def test_a_clear_winner_that_is_otherwise_as_it_was_passes(incumbent: str):
    assert promotion_gate(good_figures(incumbent), GateSettings()) == []


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("prompts",), 149, "it was compared on 149 held-out prompts only and must be on 150"),
        ((*PAIR, "judge", "low"), 0.5, "the judge does not clearly prefer it to the sft policy"),
        ((*PAIR, "length_controlled", "low"), 0.44, "at equal length its win rate may be as low as 0.44"),
        (("policies", "ppo", "kl"), 40.1, "40.10 nats a reply and must be at most 40"),
        (("policies", "ppo", "length"), 81.0, "81.00 tokens long on average, the SFT policy's 40.00"),
        (("policies", "ppo", "length"), 19.0, "must be between 20.00 and 80.00"),
        (("policies", "ppo", "stop_rate"), 0.69, "69% of its replies end by themselves, of the SFT policy's 80%"),
        (("policies", "ppo", "stop_rate"), 0.699, "69.9% of its replies end by themselves, of the SFT policy's 80%"),
        (("policies", "ppo", "repetition"), 0.08, "it repeats itself: 8% of the trigrams"),
        (("policies", "ppo", "faulty"), 0.1, "10% of its replies are faulty, of the SFT policy's 4%"),
        (("policies", "ppo", "perplexity"), 50.1, "perplexity on plain text is 50.10, the SFT policy's 40.00"),
        (("policies", "ppo", "questions_right"), 0.59, "59% of the plain questions right, the SFT policy 70%"),
        (
            ("by_kind", "ppo_vs_sft", "follow-up", "n"),
            20,
            "on 20 prompts of kind follow-up the judge clearly prefers",
        ),
    ],
)
def test_each_figure_alone_is_refused(path: tuple[str, ...], value: float, reason: str):
    """And with nothing there, or no number, just as well."""
    (told,) = promotion_gate(changed(good_figures(), path, value), GateSettings())
    assert reason in told
    for unknown in (None, NAN, MISSING):
        (told,) = promotion_gate(changed(good_figures(), path, unknown), GateSettings())
        assert "unknown" in told or path[-1] == "n"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("policies", "ppo", "kl"), 40.0),
        (("policies", "ppo", "length"), 80.0),
        (("policies", "ppo", "length"), 20.0),
        (("policies", "ppo", "perplexity"), 50.0),
        (("policies", "ppo", "stop_rate"), 1.0),
        (("policies", "ppo", "repetition"), 0.0),
        (("policies", "ppo", "faulty"), 0.0),
        (("policies", "ppo", "questions_right"), 1.0),
    ],
)
def test_what_stays_within_its_bound_or_gets_better_passes(path: tuple[str, ...], value: float):
    assert promotion_gate(changed(good_figures(), path, value), GateSettings()) == []


def test_no_kinds_speak_against():
    for unknown in ({}, None, MISSING):
        (told,) = promotion_gate(changed(good_figures(), ("by_kind", "ppo_vs_sft"), unknown), GateSettings())
        assert "which kinds of prompts" in told


def test_the_incumbent_is_the_promoted_policy_where_there_is_one():
    """The judge compares with that; what the training did is held against the policy that it started from."""
    figures = good_figures("promoted")
    for path in ((*PAIR, "judge", "low"), ("policies", "promoted", "perplexity"), ("by_kind", "ppo_vs_sft")):
        assert promotion_gate(changed(figures, path, 0.1), GateSettings()) == []
    (told,) = promotion_gate(changed(figures, ("win_rates", "ppo_vs_promoted", "judge", "low"), 0.4), GateSettings())
    assert "the promoted policy" in told


def test_a_faulty_policy_is_told_what_is_faulty():
    figures = changed(good_figures(), ("policies", "ppo", "faulty"), 0.3)
    (told,) = promotion_gate(changed(figures, ("policies", "ppo", "loops"), 0.3), GateSettings())
    assert told.endswith("by at most 5% (30% loop)")


def test_every_reason_is_named():
    assert len(promotion_gate({"prompts": 0, "policies": {}, "win_rates": {}}, GateSettings())) == 11


def compared(**ppo: Any) -> tuple[dict[str, Any], list[str]]:
    """The SFT policy, whose answers the judge likes by chance, and such a candidate through comparison and gate."""
    chance = np.random.default_rng(0)
    lengths = chance.integers(20, 40, N)
    sft = planted_answers(N, lengths=lengths, kl=0.0, judge=chance.normal(0, 1, N), reward=chance.normal(0, 1, N))
    ppo = {
        "lengths": chance.integers(20, 40, N),
        "judge": chance.normal(1.5, 1, N),
        "reward": chance.normal(1, 1, N),
    } | ppo
    answers: dict[str, Answers] = {"sft": sft, "ppo": planted_answers(N, **ppo)}
    rows = [{"query": f"What about number {i}?", "context": "[]"} for i in range(N)]
    figures = compare(answers, rows, PersonalData(["US"]), seed=0)
    return figures, promotion_gate({**figures, "prompts": N}, GateSettings())


def test_a_better_policy_passes():
    assert compared()[1] == []


def test_a_collapsed_policy_is_caught():
    """It says the same words for ever, which lost it all language; a judge that likes them does not save it."""
    loops = ["great advice for you " * 16] * N
    language = {"perplexity": 900.0, "questions_right": 0.5}
    _, reasons = compared(texts=loops, lengths=np.full(N, 64), stopped=np.full(N, False), kl=150.0, language=language)
    for said in ("repeats itself", "100% loop", "end by themselves", "loses its language", "forgets", "150.00 nats"):
        assert sum(said in reason for reason in reasons) == 1


def test_an_over_optimised_policy_is_caught():
    """The reward model, whom the gate does not ask, likes it ever more, and the judge ever less."""
    chance = np.random.default_rng(1)
    figures, reasons = compared(kl=90.0, judge=chance.normal(-1, 1, N), reward=np.full(N, 9.0))
    assert figures["policies"]["ppo"]["reward"]["value"] == 9.0
    assert figures["win_rates"]["ppo_vs_sft"]["reward"]["low"] == 1.0
    unsure, at_equal_length, first, unknown, far = reasons
    assert "does not clearly prefer it" in unsure
    assert "at equal length" in at_equal_length
    assert "on 160 prompts of kind first question the judge clearly prefers the sft policy" in first
    assert "segment unknown" in unknown
    assert "90.00 nats" in far


def test_a_policy_that_wins_by_length_is_caught():
    """All that the judge likes of it is that most of its answers are longer."""
    chance = np.random.default_rng(2)
    padding = [" ".join(f"word{i}x{k}" for k in range(chance.integers(0, 30))) for i in range(N)]
    long = [f"{advice(i)} {padding[i]}" for i in range(N)]
    longer = np.array([len(text) for text in long]) - np.array([len(advice(i)) for i in range(N)])
    figures, reasons = compared(texts=long, judge=chance.normal(0, 1, N) + 3 * np.tanh(longer / longer.std()))
    assert figures["win_rates"]["ppo_vs_sft"]["judge"]["low"] > 0.6
    (told,) = reasons
    assert "may owe its wins over the sft policy to the length of its answers" in told


def test_a_policy_with_one_answer_to_everything_is_caught():
    """Each answer is good by itself, and the reward model, even the judge, likes it."""
    _, reasons = compared(texts=[advice(1)] * N, reward=np.full(N, 9.0))
    (told,) = reasons
    assert "100% of its replies are faulty" in told
    assert "100% say mostly what is said to many other prompts" in told


def test_a_policy_whose_answers_are_far_longer_is_caught():
    essay = [f"{advice(i)} " + " ".join(f"word{k}" for k in range(200)) for i in range(N)]
    _, reasons = compared(texts=essay, lengths=np.full(N, 250), reward=np.full(N, 9.0))
    assert any("250.00 tokens long on average" in reason for reason in reasons)
