import numpy as np
import pytest

from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.policy.comparison import compare, kinds
from rlhf_assets.policy.length_control import length_controlled_win_rate
from rlhf_assets.statistics import win_rate
from rlhf_assets_tests.policy.planted import planted_answers

PERSONAL = PersonalData(["US"])
TURNS = '[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello."}]'


def test_kinds_are_by_segment_and_by_place_in_the_chat():
    rows = [
        {"query": "One?", "context": "[]", "system_prompt": "Be clear.", "segment": "student"},
        {"query": "Two?", "context": TURNS, "segment": None},
        {"query": "Three?", "context": None, "segment": "student"},
        {"query": "Four?", "context": "[]"},
    ]
    assert {kind: of.tolist() for kind, of in kinds(rows).items()} == {
        "first question": [True, False, True, True],
        "follow-up": [False, True, False, False],
        "segment student": [True, False, True, False],
        "segment unknown": [False, True, False, True],
    }


def test_win_rates_by_kind_are_those_of_its_prompts_alone():
    rows = [{"query": f"{i}?", "context": TURNS if i % 4 == 0 else "[]", "segment": "ab"[i % 2]} for i in range(40)]
    odd = np.arange(40) % 2
    answers = {name: planted_answers(40, judge=score) for name, score in (("sft", 0 * odd), ("ppo", 1 - 2 * odd))}
    figures = compare({**answers, "promoted": planted_answers(40), "base": answers["sft"]}, rows, PERSONAL, seed=0)
    assert set(figures["by_kind"]) == {"ppo_vs_sft", "ppo_vs_promoted"}
    by_kind = figures["by_kind"]["ppo_vs_sft"]
    assert by_kind["segment a"] == {"judge": {"value": 1.0, "low": 1.0, "high": 1.0}, "n": 20}
    assert by_kind["segment b"]["judge"]["value"] == 0.0
    assert (by_kind["follow-up"]["n"], by_kind["follow-up"]["judge"]["value"]) == (10, 1.0)
    assert by_kind["first question"]["judge"]["value"] == pytest.approx(10 / 30)


def test_the_judge_is_also_asked_at_equal_length():
    """It likes every answer for its characters, and ours has more of them."""
    long = ["word " * int(n) for n in np.random.default_rng(0).integers(1, 60, 40)]
    characters = [np.array([len(text) for text in texts], float) for texts in (long, planted_answers(40).texts)]
    ours = planted_answers(40, texts=long, judge=characters[0], gold=characters[0])
    theirs = planted_answers(40, judge=characters[1], gold=characters[1])
    rates = compare({"sft": theirs, "ppo": ours}, [{"query": "?"}] * 40, PERSONAL, 3)["win_rates"]["ppo_vs_sft"]
    assert rates["judge"] == rates["gold"] == win_rate(*characters, 3).as_dict()
    assert rates["length_controlled"] == length_controlled_win_rate(*characters, *characters, 3).as_dict()
    assert rates["judge"]["low"] > 0.5
    assert rates["length_controlled"]["low"] < 0.5


def test_figures_of_texts_and_replies_worked_by_hand():
    texts = ["", "go on go on go on", "Ask an installer near you.", "Compare three offers first."]
    mine = planted_answers(4, texts=texts, lengths=np.array([1, 7, 6, 6]), stopped=np.array([1, 0, 1, 1], bool))
    figures = compare({"ppo": mine}, [{"query": "Where?"}] * 4, PERSONAL, 0)["policies"]["ppo"]
    expected = {"length": 5.0, "stop_rate": 0.75, "repetition": 0.125, "faulty": 0.5, "empty": 0.25, "loops": 0.25}
    assert {name: figures[name] for name in expected} == expected
    assert figures["perplexity"] == 20.0
