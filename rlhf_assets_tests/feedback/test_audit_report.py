"""The page: everything it needs inside it, every name escaped, and nothing that anybody wrote."""

from html.parser import HTMLParser

import pandas as pd
import pytest

from rlhf_assets.feedback.activity import COLUMNS
from rlhf_assets.feedback.audit import audit_week, votes_of
from rlhf_assets.feedback.audit_checks import warnings
from rlhf_assets.feedback.audit_report import report_html
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.plots import pictures
from rlhf_assets.feedback.settings import AuditSettings, CleaningSettings
from rlhf_assets_tests.feedback.votes import WEEK, frame, vote

EVIL = "<img src=x onerror=alert(1)>"
OUTSIDE = {"no_date": 1, "before_first_week": 0, "future": 0}


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attributes if name in ("src", "href", "action", "data")]
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(*rows: dict, activity: list[tuple] = []) -> str:  # noqa: B006
    raw = frame(*rows)
    result = clean_week(raw, frame(), CleaningSettings())
    votes, settings = {WEEK: votes_of(result.clean)}, AuditSettings()
    used = pd.DataFrame(activity, columns=list(COLUMNS))
    figures = audit_week(WEEK, votes, len(raw), result.quarantined, used, OUTSIDE, settings)
    figures["warnings"] = warnings(figures, settings)
    return report_html(WEEK, figures, pictures(WEEK, votes[WEEK], figures["weeks"], result.quarantined))


def test_a_page_needs_nothing_beside_it() -> None:
    read = Page(page(vote(0), vote(1)))
    assert not {"script", "link", "iframe", "object", "form", "a"} & set(read.tags)
    assert len(read.sources) == 6
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    assert "Votes in no week: 1 without a date" in read.text


@pytest.mark.parametrize("rows", [0, 1])
def test_a_page_of_nothing(rows: int) -> None:
    read = Page(page(*(vote(number) for number in range(rows))))
    assert "nan" not in read.text.lower()
    assert "None" not in read.text


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_escaped_and_texts_are_nowhere() -> None:
    said = {name: f"{EVIL} secret {name}" for name in ("query", "response", "system_prompt")}
    context = f'[{{"role": "user", "content": "secret context {EVIL}"}}]'
    rows = [vote(n, **said, context=context, segment=EVIL, model_version="{{ 7 * 7 }}") for n in range(5)]
    refused = vote(9, feedback="secret feedback", user_id="secret user")
    made = page(
        *rows, refused, activity=[(WEEK, "segment", EVIL, 200, 5, 9, 9, 9), (WEEK, "all", None, 400, 205, 9, 9, 9)]
    )
    assert "secret" not in made
    read = Page(made)
    assert read.tags.count("img") == 6
    assert EVIL in read.text
    assert "{{ 7 * 7 }}" in read.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in made
