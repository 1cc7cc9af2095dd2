"""What warns and what does not: faults planted in votes or in figures, and weeks too small to tell."""

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from rlhf_assets.feedback.activity import COLUMNS
from rlhf_assets.feedback.audit import audit_week, votes_of
from rlhf_assets.feedback.audit_checks import CHECKS, warnings
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.settings import AuditSettings, CleaningSettings
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets_tests.feedback.votes import START, WEEK, frame, identity, vote

NOWHERE = {"no_date": 0, "before_first_week": 3, "future": 0}
LAST_WEEK = earlier(WEEK, 1)
DATES = ("created_at", "message_created_at")


def rated(number: int, **changes: object) -> dict[str, object]:
    """The vote of one of 100 people of two segments: ratings go round, and so do lengths, but not in step."""
    row = vote(
        number,
        at=START + timedelta(minutes=number),
        user_id=identity(f"user {number % 100}"),
        segment=("farmer", "student")[number % 2],
        feedback=None,
        feedback_score=number % 5 + 1,
        response="word " * (5 + number % 7),
    )
    return row | changes


def used(week: str = WEEK, messages: int = 400, rated: int = 200, **segments: tuple[int, int]) -> pd.DataFrame:
    rows = [(week, "all", None, messages, rated, 100, 50, 40)]
    rows += [(week, "segment", name, *numbers, 100, 50, 40) for name, numbers in segments.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def found(
    rows: list[dict],
    before: list[dict],
    activity: pd.DataFrame | None = None,
    outside: dict[str, int] = NOWHERE,
    settings: AuditSettings | None = None,
) -> dict[str, list[str]]:
    """The checks that warn."""
    raw, settings = frame(*rows), settings or AuditSettings()
    last_week = frame(*(row | {name: row[name] - timedelta(days=7) for name in DATES} for row in before))
    result, result_before = (clean_week(votes, frame(), CleaningSettings()) for votes in (raw, last_week))
    weeks = {LAST_WEEK: votes_of(result_before.clean), WEEK: votes_of(result.clean)}
    activity = pd.concat([used(), used(LAST_WEEK)]) if activity is None else activity
    figures = audit_week(WEEK, weeks, len(raw), result.quarantined, activity, outside, settings)
    warned = warnings(figures, settings)
    assert list(warned) == list(CHECKS)
    return {name: sentences for name, sentences in warned.items() if sentences}


BEFORE = [rated(number) for number in range(300)]


def test_an_unchanged_week_an_empty_one_and_a_first_one_warn_of_nothing() -> None:
    assert found(BEFORE, BEFORE) == {}
    assert found([], BEFORE, used(messages=0, rated=0)) == {}
    assert found([], [], used().head(0)) == {}
    assert found([vote(0)], BEFORE) == {}
    assert found(BEFORE, []) == {}


def test_a_fall_of_positive_votes() -> None:
    worse = [row | {"feedback_score": 1} if number % 3 else row for number, row in enumerate(BEFORE)]
    warned = found(worse, BEFORE)
    # Of every three votes one stays: 40 of 100 of these are a 4 or 5, 20 a 3, which counts for neither side.
    assert warned["balance"] == ["Positive votes have fallen from 50% in the look-back to 14%."]
    assert set(warned) == {"balance", "drift"}
    assert found(worse[:99], BEFORE) == {}, "too few votes to tell"
    assert "balance" not in found(worse, BEFORE, settings=AuditSettings(balance_change=0.4))


def test_a_new_model_version_takes_over() -> None:
    taken = [row | {"model_version": "v2"} if number % 4 else row for number, row in enumerate(BEFORE)]
    (told,) = found(taken, BEFORE)["drift"]
    index = "PSI 5.60"  # of 300 votes 225 are v2, of as many before none, and half a vote more in each
    assert told == (
        f"The rated model versions have shifted a lot against the week before ({index}) and the look-back ({index}): "
        "v2 from 0% to 75% of the votes."
    )


def test_a_segment_falls_silent() -> None:
    farmers = [row for row in BEFORE if row["segment"] == "farmer"]
    assert set(found(farmers, BEFORE)) == {"drift"}
    heard = pd.concat([used(farmer=(200, 180), student=(200, 20)), used(LAST_WEEK)])
    assert found(BEFORE, BEFORE, heard) == {
        "everybody_is_heard": ["Segment student is hardly heard: 10% of its answers are rated, 50% of all."]
    }
    few = pd.concat([used(farmer=(301, 198), student=(99, 2)), used(LAST_WEEK)])
    assert found(BEFORE, BEFORE, few) == {}


def test_people_rate_less() -> None:
    assert found(BEFORE, BEFORE, pd.concat([used(rated=90), used(LAST_WEEK)])) == {
        "everybody_is_heard": ["People rate less: 22% of the answers, 50% in the look-back."]
    }


def test_nobody_agrees_with_anybody() -> None:
    def answers(score: Any) -> list[dict]:
        """120 answers with two raters each."""
        return [
            rated(
                number, response=f"The same answer {number // 2} to both.", query="What?", feedback_score=score(number)
            )
            for number in range(240)
        ]

    agreed = answers(lambda number: number // 2 % 5 + 1)
    by_chance = answers(lambda number: (number * 7 + number // 2 * 3) % 5 + 1)
    assert found(agreed, []) == {}
    (told,) = found(by_chance, [])["agreement"]
    assert told.startswith("People who give the same answer scores hardly agree: Krippendorff's alpha is ")
    assert told.endswith("over 120 answers.")


@pytest.mark.parametrize(("better", "sign"), [("better", 1), ("worse", -1)])
def test_length_is_rated(better: str, sign: int) -> None:
    longer = [row | {"response": "word " * (10 + sign * row["feedback_score"])} for row in BEFORE]
    (told,) = found(longer, longer)["length"]
    assert told == f"Longer answers are rated {better}: Spearman of length and score is {sign:.2f}."
    assert found(longer[:99], longer) == {}


def test_a_brigade_shows() -> None:
    """Twenty accounts, two votes each, in a row, all against one answer: what cleaning suspects is told by reason."""
    raw = frame(*BEFORE)
    result = clean_week(raw, frame(), CleaningSettings())
    attack = frame(*(vote(1000 + number, user_id=identity(f"fresh {number % 20}")) for number in range(40)))
    refused = attack.assign(reason="brigade")
    weeks = {WEEK: votes_of(result.clean)}
    figures = audit_week(WEEK, weeks, 340, refused, used(), NOWHERE, AuditSettings())
    assert warnings(figures, AuditSettings())["raters"] == [
        "12% of the votes came from suspected raters and are left out (brigade: 40 votes of 20 people)."
    ]
    undetected = [rated(300 + number, user_id=identity(f"fresh {number}"), feedback_score=1) for number in range(120)]
    assert set(found([*BEFORE, *undetected], BEFORE)) == {"balance", "drift"}


def test_one_person_holds_much_of_the_week() -> None:
    busy = [row | {"user_id": identity("busy")} if number < 30 else row for number, row in enumerate(BEFORE)]
    assert found(busy, BEFORE) == {"raters": ["One person gave 10% of the votes."]}


def test_one_busy_person_is_told_as_such_and_not_as_a_change_of_all() -> None:
    """Half as many votes as everybody's, all a 4 or a 5: what moves is this person alone."""
    busy = [rated(300 + n, user_id=identity("busy"), segment="farmer", feedback_score=4 + n % 2) for n in range(150)]
    assert found([*BEFORE, *busy], BEFORE) == {"raters": ["One person gave 33% of the votes."]}


def test_votes_in_no_week() -> None:
    assert found(BEFORE, BEFORE, outside={"no_date": 2, "before_first_week": 0, "future": 1}) == {
        "every_vote_in_a_week": ["Votes in no week: 2 without a date, 1 in the future; mend their created_at."]
    }
