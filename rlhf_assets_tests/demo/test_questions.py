"""The demo's questions: many, different, always the same."""

from rlhf_assets.demo.questions import follow_ups, questions


def test_questions_are_different_and_repeatable() -> None:
    first = questions(1_150)
    assert len(set(first)) == 1_150
    assert first == questions(1_150)
    assert first != questions(1_150, seed=1)
    assert all("{" not in q and q[0].isupper() and q[-1] in "?." for q in first + follow_ups(50))


def test_close_variants_are_not_drawn() -> None:
    assert len(questions(40, forms=("What is {topic} to a banker in {place} today?",))) == 40
