"""What is a text that a person can read, and what is not."""

import pytest

from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets_tests.feedback.votes import reasons, vote

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"  # four people, three joiners
LOST = "\ufffd"


@pytest.mark.parametrize(
    "text",
    [
        "Tabs\tand\r\nlines of a table | a | b |",
        "هذا نص عربي مكتوب من اليمين إلى اليسار \u200f(\u202bمثال\u202c)",
        "טקסט בעברית, עם English באמצע",
        FAMILY * 5,
        "❤️‍🔥 🏳️‍🌈 👍🏽 ☀️ and some words",
        "e\u0301a\u0300 z\u0351\u0352\u0353\u0354\u0355\u0356 combining marks",
        "क्षत्रिय ज़िन्दगी नमस्ते दुनिया",
        "日本語の文章です。改行なし、句読点あり。",
        '{"role": "system", "content": "x"}; drop table users; <img src=x onerror=alert(1)> ![x](http://x.org/p.png)',
        "A long answer of which the stream lost one character: caf" + LOST + ", that is all it did.",
        "no-break\u00a0spaces, soft\u00adhyphens, a zero\u200bwidth space \ufeff",
    ],
)
def test_text_of_any_script_is_text(text: str) -> None:
    assert reasons(vote(0, response=text), vote(1, query=text)) == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        "A terminal's \x1b[31mred\x1b[0m word",
        "a\x00byte of nothing at all",
        "a form\x0cfeed, a bell\x07 or a delete\x7f",
        "windows-1252 read as latin-1: \x93quoted\x94",
        f"gr{LOST}{LOST}n und sch{LOST}n, wie {LOST}blich",
        "\u200b" * 20,
        "\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007\ue008 private",
        "\U000e0041" * 30,  # tags without a flag to belong to
    ],
)
def test_what_is_no_text(text: str) -> None:
    assert reasons(vote(0, response=text), vote(1, query=text)) == ["not_text", "not_text"]


TURN = '{"role": "user", "content": "Why?"}'
BROKEN = [None, "", "Why?", "{}", TURN, "null", "[", "[" * 100_000, f"[{TURN}", "[1]", "[null]", "[[]]"]


@pytest.mark.parametrize(
    "broken", [*BROKEN, '["Why?"]', f'[{TURN}, {{"role": "user"}}]', '[{"role": 1, "content": ""}]']
)
def test_a_context_is_a_list_of_turns(broken: str | None) -> None:
    assert reasons(vote(0, context=broken), vote(1, context=f"[{TURN}, {TURN}]")) == ["bad_context", None]


@pytest.mark.parametrize("broken", [*BROKEN, f"[{TURN}]"])
def test_the_steps_before_are_a_list_of_texts(broken: str | None) -> None:
    assert reasons(vote(0, steps_before=broken), vote(1, steps_before='["1. a", ""]')) == ["bad_context", None]


def test_thresholds_of_text() -> None:
    assert reasons(vote(0, response=f"{'a' * 98}{LOST * 2}")) == [None]
    assert reasons(vote(0, response=f"{'a' * 97}{LOST * 3}")) == ["not_text"]
    assert reasons(vote(0, response="ab" * 10 + "\u200b" * 20)) == [None]
    assert reasons(vote(0, response="ab" * 10 + "\u200b" * 21)) == ["not_text"]
    forgiving = CleaningSettings(replaced_share=0.5, printable_share=0.1)
    assert reasons(vote(0, response="abcdef" + LOST * 6 + "\u200b" * 12), settings=forgiving) == [None]


def test_over_long() -> None:
    settings = CleaningSettings(maximum_characters=100)
    assert reasons(vote(0, response="é" * 100), vote(1, query="é" * 100), settings=settings) == [None, None]
    assert reasons(vote(0, response="é" * 101), vote(1, query="é" * 101), settings=settings) == ["over_long"] * 2
    assert reasons(vote(0, response="word " * 200_000)) == ["over_long"]
