"""Consent, and rows refused for the personal data in them."""

from typing import Literal

import pandas as pd
import pytest

from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.rules.person import without_consent
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets_tests.feedback.votes import frame, reasons, vote

SETTINGS = CleaningSettings()


@pytest.mark.parametrize(
    ("said", "refused"),
    [("false", True), ("f", True), (" No ", True), ("0", True), ("true", False), ("yes", False), (None, False)],
)
def test_only_a_no_is_a_no(said: str | None, refused: bool) -> None:
    votes = frame(vote(0)).assign(consent=pd.Series([said], dtype="str"))
    assert without_consent(votes, votes, SETTINGS).tolist() == [refused]


def test_where_nobody_was_asked_nobody_said_no() -> None:
    votes = frame(vote(0), vote(1)).drop(columns="consent", errors="ignore")
    assert without_consent(votes, votes, SETTINGS).tolist() == [False, False]


def test_personal_data_refuses_a_row_only_where_it_shall() -> None:
    rows = [
        vote(0),
        vote(1, response="Ask ann@example.org about it."),
        vote(2, query="Is +1 617 253 1000 their number?"),
        vote(3, context='[{"role": "user", "content": "I am ann@example.org"}]'),
        vote(4, steps_before='["Pay with 4111 1111 1111 1111"]'),
        vote(5, system_prompt="Write to help@example.org"),  # the operator's own
    ]
    refused = [None, *["personal_data"] * 4, None]
    assert reasons(*rows, settings=CleaningSettings(personal_data="quarantine")) == refused
    for setting in ("redact", "keep"):
        assert reasons(*rows, settings=CleaningSettings(personal_data=setting)) == [None] * 6


@pytest.mark.parametrize(("setting", "left"), [("redact", "<EMAIL>"), ("quarantine", "<EMAIL>"), ("keep", "a@b.org")])
def test_the_operators_address_costs_no_row(setting: Literal["redact", "quarantine", "keep"], left: str) -> None:
    settings = CleaningSettings(personal_data=setting)
    clean = clean_week(frame(vote(0, system_prompt="Write to a@b.org")), frame(), settings).clean
    assert clean["system_prompt"].tolist() == [f"Write to {left}"]
