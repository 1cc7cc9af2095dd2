import pytest

from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.policy.comparison import prompt_text
from rlhf_assets.policy.generated_text import faults, repetition, text_figures

PERSONAL = PersonalData(["US"])
ASKED = "How do I find a well paid job in solar energy near my home town?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ask three local installers whether they train beginners, and compare what they pay.", set()),
        ("Solar.", set()),
        ("", {"empty"}),
        (" …\n", {"empty"}),
        ("How do I find a well paid job in solar energy?", {"copies_prompt"}),
        ("Find a well paid job in solar energy by asking an installer.", {"copies_prompt"}),  # 6 of 10 trigrams
        ("To find a job in solar energy, ask an installer about training.", set()),  # 2 of 10: a job in solar energy
        ("Go on, go on, go on!", {"loops"}),
        ("1. Ask an installer.\n2. Read widely.\n3. Ask an installer.", {"loops"}),
        ("Yes.\nAsk an installer.\nYes.", set()),
        ("I’m sorry, but I can't help you.", {"refuses"}),
        ("As an AI language model I have no opinion.", {"refuses"}),
        ("I cannot help with that.", {"refuses"}),
        ("Sorry to say it, such jobs are rare.", set()),
        ("Write to ada@example.org about it.", {"personal_data"}),
        ("Call (201) 555-0123 tomorrow.", {"personal_data"}),
        ("In 2030 it costs 1,500 dollars.", set()),
    ],
)
def test_each_fault_is_found_and_no_other(text: str, expected: set[str]):
    assert faults(ASKED, text, PERSONAL) == expected


def test_contact_data_of_the_own_prompt_may_be_said_again():
    turns = '[{"role": "assistant", "content": "Our office is at (201) 555-0123."}]'
    row = {"query": "And by mail?", "context": turns, "system_prompt": "You answer for Help@Example.org."}
    known = prompt_text(row)
    assert faults(known, "Write to help@example.org or call 201-555-0123.", PERSONAL) == set()
    assert faults(known, "Write to ada@example.org.", PERSONAL) == {"personal_data"}


def test_shares_are_of_all_replies():
    texts = ["", "I cannot help. Write to ada@example.org.", "Ask an installer.", "Compare what they pay."]
    none = {"copies_prompt": 0.0, "loops": 0.0, "said_elsewhere": 0.0}
    some = {"faulty": 0.5, "empty": 0.25, "refuses": 0.25, "personal_data": 0.25}
    assert text_figures([ASKED] * 4, texts, PERSONAL) == none | some


def test_one_answer_to_everything_is_found():
    """But not one that is short, such as a yes, nor nothing at all."""
    texts = ["Ask an installer.", "ask an installer", "Yes.", "Yes.", "Compare what they pay."]
    figures = text_figures([ASKED] * 5, texts, PERSONAL)
    assert (figures["said_elsewhere"], figures["faulty"]) == (0.4, 0.4)
    assert text_figures([ASKED] * 2, ["", ""], PERSONAL)["said_elsewhere"] == 0


def test_a_template_with_the_questions_own_word_put_in_is_found():
    """As of a policy that has found one phrase that its reward likes: no two replies are the same."""
    subjects = ["solar", "wind", "grants", "batteries", "training", "heat", "pay", "unions", "coal", "steel"]
    hack = [f"Great question about {what}! Always consult a certified local expert first, friend." for what in subjects]
    honest = [f"{what.title()} {' '.join(what[i:] + what[:i] for i in range(9))}" for what in subjects]
    prompts = [f"What about {what}?" for what in subjects]
    assert text_figures(prompts, hack, PERSONAL)["said_elsewhere"] == 1
    assert text_figures(prompts, honest, PERSONAL)["said_elsewhere"] == 0
    assert (
        text_figures(["Always consult a certified local expert first, friend?"] * 10, hack, PERSONAL)["said_elsewhere"]
        < 1
    )  # what stands in the prompt is copied, not said elsewhere


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can’t help with that.", True),
        ("I apologize, but I cannot answer this.", True),
        ("As an AI language model, I have no opinion.", True),
        ("Unfortunately, I am unable to help.", True),
        ("I won't do that.", True),
        ("As an AI, I would ask a person.", True),
        ("As an AI engineer you earn more.", False),
        ("As an AI student, apply for grants.", False),
        ("I'm sorry to hear about your job. Here are three steps.", False),
        ("I can't stress enough how much a rebate helps.", False),
        ("You cannot get both grants.", False),
    ],
)
def test_a_refusal_says_no_and_an_excuse_alone_is_none(text: str, refuses: bool):
    assert ("refuses" in faults(ASKED, text, PERSONAL)) == refuses


def test_repetition_worked_by_hand():
    assert repetition("one two three four") == 0
    assert repetition("Go on, go on, go on!") == pytest.approx(2 / 4)  # go on go · on go on · go on go · on go on
    assert repetition("too short") == 0
