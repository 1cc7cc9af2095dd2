"""What is somebody's address or number, and what only looks like it."""

import json

import pandas as pd
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets_tests.feedback.votes import frame, vote


def redacted(text: str, *regions: str) -> str:
    return PersonalData(list(regions or ("US",))).redacted_text(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Write to ann.b+c@mail.example.org.", "Write to <EMAIL>."),
        ("(ANN_B@EXAMPLE.CO.UK), <bob@x.io>", "(<EMAIL>), <<EMAIL>>"),
        ("пишите анна@пример.рф", "пишите <EMAIL>"),
        ("mailto:ann@x.org?a=b https://x.org/?u=ann@x.org", "mailto:<EMAIL>?a=b https://x.org/?u=<EMAIL>"),
        ("Call (617) 253-1000 or 617.253.1000 or 617 253 1000.", "Call <PHONE> or <PHONE> or <PHONE>."),
        ("+44 20 7946 0958, +4930901820, 1-800-275-2273", "<PHONE>, <PHONE>, <PHONE>"),
        ("My phone is 6172531000", "My phone is <PHONE>"),
        ("617\u00a0253\u00a01000, ٦١٧ ٢٥٣ ١٠٠٠", "<PHONE>, <PHONE>"),
        ("Card 4111 1111 1111 1111, 5555-5555-5555-4444, 378282246310005", "Card <CARD>, <CARD>, <CARD>"),
        ("617-253-1000@example.org", "<EMAIL>"),
    ],
)
def test_what_is_replaced(text: str, left: str) -> None:
    assert redacted(text) == left
    assert PersonalData(["US"]).redacted(frame(vote(0, response=text)))["response"].tolist() == [left]


@pytest.mark.parametrize(
    "text",
    [
        "In 2005-2010 emissions fell from 6172531000 to 4,111,111,111 tonnes (12.5 %).",
        "2015 2016 2017 2018 2019 2020 2021; 100 200 3000; 12 345 678 901",
        "It costs $617 253 1000, 1.250.000,00 EUR or 2,500,000-3,500,000 in all.",
        "2024-11-15T10:20:30Z, 15.11.2024 10:20, 11/15/2024 1:02:03, 1700000000, 3.14159265358979",
        "ISBN 978-3-16-148410-0, order 4111-1111-1111-1112, id 2025550143, build 20241115.1020304",
        "https://example.org/orders/4111111111111111/617-253-1000.html and www.x.org/617-253-1000",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6, 192.168.100.200, 10.0.0.1:8080, #6172531000",
        "@ann, ann@localhost, 3 @ 2.50, a @ b.org, @media (max-width: 600px)",
        "1. First\n2. Second\n3. Third\n4. 5. 6. 7. 8. 9. 10.",
        "|2020|2021|2022|\n|617|253|1000|\n|12.5|13.25|14.125|",
        "",
    ],
)
def test_what_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_country_s_own_numbers_are_known_where_it_is_named() -> None:
    assert redacted("020 7946 0958") == "020 7946 0958"
    assert redacted("020 7946 0958 or 617-253-1000", "US", "GB") == "<PHONE> or <PHONE>"
    assert PersonalData([]).redacted_text("617-253-1000, +1 617 253 1000") == "617-253-1000, <PHONE>"
    with pytest.raises(RlhfError, match="no country 'UK'"):
        PersonalData(["UK"])


@pytest.mark.parametrize(
    ("text", "suspicious"),
    [
        ("In 2024-11-15 it was 1,200,000 tonnes, 12.5 % of 9,600,000.", False),
        ("a@b", True),
        ("+49 30 901820", True),
        ("(617) 253-1000", True),
        ("5555-5555-5555-4444", True),
        ("٦١٧ ٢٥٣ ١٠٠٠", True),
        ("No number at all, and nobody's address.", False),
    ],
)
def test_the_cheap_look_passes_over_most_texts_and_over_none_that_matters(text: str, suspicious: bool) -> None:
    rows = frame(vote(0, response=text), vote(1, response=None))
    assert list(PersonalData(["US"]).suspicious(rows["response"])) == [text] * suspicious


def test_clean_rows_lose_it_everywhere_and_quarantined_ones_keep_it() -> None:
    said = [{"role": "user", "content": 'I\'m "Ann",\nann@example.org'}, {"role": "assistant", "content": "Hi"}]
    private = {
        "query": "Is 617-253-1000 right?",
        "response": "Yes, or ask bob@example.org.",
        "context": json.dumps(said),
        "steps_before": json.dumps(["Card 4111 1111 1111 1111", "nothing"]),
    }
    rows = frame(vote(0, **private), vote(1), vote(2, feedback=None, **private))
    result = clean_week(rows, frame(), CleaningSettings())
    ours = result.clean.iloc[0]
    assert ours["query"] == "Is <PHONE> right?"
    assert ours["response"] == "Yes, or ask <EMAIL>."
    assert json.loads(ours["context"]) == [said[0] | {"content": 'I\'m "Ann",\n<EMAIL>'}, said[1]]
    assert json.loads(ours["steps_before"]) == ["Card <CARD>", "nothing"]
    pd.testing.assert_series_equal(result.clean.iloc[1][rows.columns], rows.iloc[1], check_names=False)
    pd.testing.assert_series_equal(result.quarantined.iloc[0][rows.columns], rows.iloc[2], check_names=False)
    kept = clean_week(rows, frame(), CleaningSettings(personal_data="keep")).clean
    pd.testing.assert_frame_equal(kept[rows.columns], rows.iloc[:2])


def test_json_of_another_shape_is_text() -> None:
    personal = PersonalData(["US"])
    for text in ('{"a": "ann@example.org"}', "[ann@example.org", "[" * 50_000 + "ann@example.org", '"ann@example.org"'):
        assert personal.redacted_json(text) == text.replace("ann@example.org", "<EMAIL>")
    odd = json.dumps([1, None, {"content": 2, "x": "ann@example.org"}])
    assert json.loads(personal.redacted_json(odd)) == [1, None, {"content": 2, "x": "<EMAIL>"}]


def test_a_text_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    look = PersonalData.look
    monkeypatch.setattr(PersonalData, "look", lambda self, text: looked.append(text) or look(self, text))
    personal = PersonalData(["US"])
    rows = frame(vote(0, response="Ask ann@example.org."), vote(1, response="Ask ann@example.org."), vote(2))
    for _ in range(2):
        assert clean_week(rows, frame(), CleaningSettings(), None, personal).clean["response"].nunique() == 2
    assert looked == ["Ask ann@example.org."]
