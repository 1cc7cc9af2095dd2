"""Steps of an answer: where it is cut, and that nothing of it is lost."""

import pytest

from rlhf_assets.feedback.steps import Step, split_steps


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1. Ask.\n2) Apply.\n   By mail.\n10. Wait.", ["1. Ask.", "2) Apply.\n   By mail.", "10. Wait."]),
        ("Sure:\n\n1. Ask.\n\n2. Apply.", ["Sure:\n\n1. Ask.", "2. Apply."]),  # an opening is no step of its own
        ("1. Ask.\n2. Apply.\n3.", ["1. Ask.", "2. Apply.\n3."]),  # cut off before its text
        ("**1.** Ask.\n**2.** Apply.", ["**1.** Ask.", "**2.** Apply."]),
        ("It costs 7.5 percent.\n2026. That is all.", ["It costs 7.5 percent.", "2026. That is all."]),  # no numbers
        ("7.5 percent.\nThat is all.", ["7.5 percent.", "That is all."]),
        ("One\ntwo.\n\n \nThree.", ["One\ntwo.", "Three."]),
        ("One.\r\n\r\nTwo.\r\nThree.", ["One.", "Two.\r\nThree."]),
        ("One.\nTwo.\n", ["One.", "Two."]),
        ("\n\n One.", ["One."]),
        ("", []),
        (" \n\t\n", []),
    ],
)
def test_split(text: str, steps: list[str]) -> None:
    assert [step.text for step in split_steps(text)] == steps


def test_offsets_cover_the_text() -> None:
    assert split_steps("Hi\n1. a\n2. b\n") == [Step("Hi\n1. a", 0, 8), Step("2. b", 8, 13)]
    for text in ("\n\n1. a\n\n2. b ", " a\n\n\nb\nc", "a\nb\n\n", "x", "1. a 😀\n2. é\u2028b"):
        steps = split_steps(text)
        assert "".join(text[step.start : step.end] for step in steps) == text
        assert all(step.text for step in steps)


def test_a_huge_answer_is_linear() -> None:
    assert split_steps("\n" * 300_000) == []
    assert len(split_steps("1. a\n" * 100_000)) == 100_000
