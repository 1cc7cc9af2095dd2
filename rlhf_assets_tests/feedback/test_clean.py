"""Each rule on rows worked by hand, and what holds for all rows together."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.clean import Extraction, clean_week
from rlhf_assets.feedback.read import RAW_SCHEMA
from rlhf_assets.feedback.rules import RULES
from rlhf_assets.feedback.settings import LOOKBACK_WEEKS, CleaningSettings
from rlhf_assets.feedback.weeks import bounds, earlier, week_of, weeks_between
from rlhf_assets_tests.feedback.votes import START, WEEK, frame, identity, reasons, step_vote, vote

NOTHING = frame()
SETTINGS = CleaningSettings()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"message_id": None, "message_role": None, "query": None, "response": None}, "no_target"),
        ({"message_role": None, "response": None}, "no_target"),  # the message is gone
        ({"message_role": "user"}, "not_assistant"),
        ({"message_role": None}, "not_assistant"),
        ({"query": None}, "no_query"),
        ({"query": " \n"}, "no_query"),
        ({"response": None}, "empty_response"),
        ({"response": "\t "}, "empty_response"),
        ({"response": " 11 letters "}, "too_short"),
        ({"response": "12 letters.."}, None),
        ({"feedback": None}, "no_rating"),
        ({"feedback": " "}, "no_rating"),
        ({"feedback": None, "feedback_score": 3}, None),
        ({"feedback": "meh"}, "invalid_rating"),
        ({"feedback": "Negative "}, None),
        ({"feedback": None, "feedback_score": 0}, "invalid_rating"),
        ({"feedback": None, "feedback_score": 6}, "invalid_rating"),
        ({"feedback": None, "feedback_score": 2.5}, "invalid_rating"),
        ({"feedback": None, "feedback_score": float("inf")}, "invalid_rating"),
        ({"feedback_score": 2}, "contradiction"),
        ({"feedback_score": 3}, None),
        ({"feedback": "negative", "feedback_score": 4}, "contradiction"),
        ({"feedback": "negative", "feedback_score": 3}, None),
        ({"consent": "False"}, "no_consent"),
        ({"consent": "true"}, None),
        ({"message_role": "user", "response": "", "feedback": None}, "not_assistant"),  # the first rule wins
    ],
)
def test_one_row(changes: dict, reason: str | None) -> None:
    assert reasons(vote(0, **changes)) == [reason]


def test_steps_have_a_target_and_need_no_message() -> None:
    assert reasons(step_vote(0)) == [None]
    assert reasons(step_vote(0, message_role="assistant")) == [None]
    assert reasons(step_vote(0, message_role="user")) == ["not_assistant"]
    assert reasons(step_vote(0, step_id=None)) == ["no_target"]


@pytest.mark.parametrize(
    ("feedback", "points", "score", "is_thumb"),
    [
        ("positive", None, 1.0, True),
        ("negative", None, 0.0, True),
        ("positive", 4, 0.75, False),
        ("negative", 1, 0.0, False),
        (None, 1, 0.0, False),
        (None, 3, 0.5, False),
        (None, 5, 1.0, False),
    ],
)
def test_score(feedback: str | None, points: int | None, score: float, is_thumb: bool) -> None:
    clean = clean_week(frame(vote(0, feedback=feedback, feedback_score=points)), NOTHING, SETTINGS).clean
    assert clean.loc[0, ["score", "is_thumb", "week"]].tolist() == [score, is_thumb, WEEK]


def test_a_copy_repeats_the_vote_just_before() -> None:
    same = {"user_id": identity("ann"), "message_id": identity("answer")}
    up, down = {"feedback": "positive"}, {"feedback": "negative"}
    assert reasons(vote(0, **same, **up), vote(1, **same, **up)) == [None, "copy"]
    assert reasons(*(vote(i, **same, **up) for i in range(3))) == [None, "copy", "copy"]
    assert reasons(vote(0, **same, **up), vote(1, **same, **down), vote(2, **same, **up)) == [None, None, None]
    assert reasons(vote(0, **same, **up), vote(1, **same, **up, feedback_score=5)) == [None, None]
    assert reasons(vote(0, **same, **up), vote(1, **same | {"user_id": identity("bob")}, **up)) == [None, None]
    assert reasons(vote(0, **same, **up), vote(1, **same | {"message_id": identity("other")}, **up)) == [None, None]
    unknown = same | {"user_id": None}
    assert reasons(vote(0, **unknown), vote(1, **unknown)) == [None, None]
    steps = {"user_id": identity("ann"), "step_id": identity("step")}
    assert reasons(step_vote(0, **steps), step_vote(1, **steps)) == [None, "copy"]


def test_equal_moments_are_ordered_by_vote_id() -> None:
    same = {"user_id": identity("ann"), "message_id": identity("answer"), "at": START}
    rows = sorted((vote(0, **same), vote(1, **same)), key=lambda row: row["vote_id"])
    assert reasons(*rows) == reasons(*reversed(rows))[::-1] == [None, "copy"]


def test_a_copy_is_seen_across_weeks_within_the_look_back() -> None:
    same = {"user_id": identity("ann"), "message_id": identity("answer")}
    reach = bounds(earlier(WEEK, LOOKBACK_WEEKS))[0]
    assert reasons(vote(1, **same), lookback=frame(vote(0, at=reach, **same))) == ["copy"]
    before = reach - timedelta(microseconds=1)
    assert reasons(vote(1, **same), lookback=frame(vote(0, at=before, **same))) == [None]
    assert reasons(vote(1, **same | {"at": START}), lookback=frame(vote(1, **same | {"at": START}))) == [None]
    after = bounds(WEEK)[1]
    assert reasons(vote(1, **same), lookback=frame(vote(0, at=after, **same))) == [None]


def test_one_button_rater() -> None:
    ann, settings = {"user_id": identity("ann")}, CleaningSettings(one_button_votes=10, one_button_share=0.9)
    bob = vote(99)
    clicks = [vote(i, **ann) for i in range(10)]
    assert reasons(*clicks, bob, settings=settings) == ["one_button_rater"] * 10 + [None]
    assert reasons(*clicks[:9], bob, settings=settings) == [None] * 10
    other = [vote(20, **ann, feedback="negative"), vote(21, **ann, feedback="negative")]
    assert reasons(*clicks, other[0], settings=settings) == ["one_button_rater"] * 10 + [None]  # 10 of 11 is above 0.9
    assert reasons(*clicks, *other, settings=settings) == [None] * 12  # 10 of 12 is not
    # Votes of the look-back count, and only this week's are judged.
    past = frame(*(vote(i, **ann, at=START - timedelta(hours=i + 1)) for i in range(30, 39)))
    assert reasons(clicks[0], bob, lookback=past, settings=settings) == ["one_button_rater", None]
    # Votes without a person are nobody's habit.
    assert reasons(*(vote(i, user_id=None) for i in range(10)), settings=settings) == [None] * 10


def test_an_empty_week_has_the_columns_and_dtypes_of_a_full_one() -> None:
    empty = clean_week(NOTHING, NOTHING, SETTINGS)
    full = clean_week(frame(vote(0), vote(1, feedback=None), step_vote(2, feedback_score=4)), frame(vote(3)), SETTINGS)
    assert len(empty.clean) == len(empty.quarantined) == 0
    assert len(full.clean) == 2
    pd.testing.assert_series_equal(empty.clean.dtypes, full.clean.dtypes)
    pd.testing.assert_series_equal(empty.quarantined.dtypes, full.quarantined.dtypes)
    assert list(full.clean.columns) == [*RAW_SCHEMA.names, "score", "is_thumb", "week"]
    assert list(full.quarantined.columns) == [
        *RAW_SCHEMA.names,
        "reason",
        "rule",
        "rule_version",
        "source",
        "week",
    ]
    only_bad = clean_week(frame(vote(0, feedback=None)), NOTHING, SETTINGS)
    pd.testing.assert_series_equal(only_bad.clean.dtypes, full.clean.dtypes)


def test_rows_of_two_weeks_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one week"):
        clean_week(frame(vote(0), vote(24 * 7)), NOTHING, SETTINGS)


def test_the_arguments_stay_as_they_were() -> None:
    rows, lookback = frame(vote(1), vote(0)).iloc[::-1], frame(vote(2, at=START - timedelta(days=1)))
    before = rows.copy(), lookback.copy()
    clean_week(rows, lookback, SETTINGS)
    pd.testing.assert_frame_equal(rows, before[0])
    pd.testing.assert_frame_equal(lookback, before[1])


TERMINAL, ADDRESS = "A red \x1b[31mword\x1b[0m of warning.", "Write to ann@example.org, please."


def any_votes(seed: int, rows: int, weeks: int) -> pd.DataFrame:
    """Votes drawn at random from values good and bad, few enough people and answers that they meet again."""
    draw = np.random.default_rng(seed)

    def pick(good: list, bad: list) -> object:
        values = good if draw.random() < 0.9 else bad
        return values[draw.integers(len(values))]

    def one(number: int) -> dict:
        changes = {
            "at": START - timedelta(weeks=weeks - 1) + timedelta(minutes=int(draw.integers(weeks * 7 * 24 * 60))),
            "user_id": pick([*map(identity, range(6))], [None]),
            "message_id": pick([*map(identity, range(4))], [None]),
            "step_id": pick([*map(identity, range(3))], [None]),
            "kind": pick(["message"], ["step"]),
            "message_role": pick(["assistant"], ["user", None, "\x00"]),
            "query": pick(["How?", "How much does it cost?"], ["", None, "🌍" * 9, "Why? " * 5_000]),
            "context": pick(["[]", '[{"role": "user", "content": "Hello?"}]'], [None, "[", "[0]"]),
            "response": pick(["A good long answer.", "\u202eright to left text"], ["no", "", None, TERMINAL, ADDRESS]),
            "feedback": pick([*["positive"] * 6, "negative"], [None, "", "maybe", "'; drop table x"]),
            "message_created_at": pick([None], [START - timedelta(weeks=9), START + timedelta(weeks=9)]),
            "feedback_score": pick([*[None] * 6, 5, 1], [3, 0, -1, 2.5, 1e300, float("-inf")]),
            "consent": pick([None], ["true", "false"]),
        }
        return vote(number, **changes)

    return frame(*(one(number) for number in range(rows)))


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_and_the_width_of_a_backfill_changes_nothing(seed: int) -> None:
    settings = CleaningSettings(
        one_button_votes=6,
        one_button_share=0.55,
        personal_data="quarantine",
        fast_answers=2,
        fast_seconds=3600,
        brigade_accounts=3,
        brigade_minutes=60 * 24,
        fresh_hours=24 * 40,
    )
    votes = any_votes(seed, rows=900, weeks=8)
    draw = np.random.default_rng(seed)
    week = votes["created_at"].map(week_of)
    seen = set()
    for name in weeks_between(earlier(WEEK, 7), WEEK):
        rows = votes[week == name]
        exact = votes[week.isin([earlier(name, n) for n in range(1, LOOKBACK_WEEKS + 1)])]
        read_at = {"message": Extraction("messages", bounds(name)[1] - timedelta(hours=3))}
        result = clean_week(rows, exact, settings, read_at)

        both = pd.concat([result.clean, result.quarantined])[RAW_SCHEMA.names].sort_values(["created_at", "vote_id"])
        pd.testing.assert_frame_equal(both.reset_index(drop=True), rows.reset_index(drop=True))
        assert result.clean["score"].between(0, 1).all()
        seen |= set(result.quarantined["reason"])

        # A wide backfill has more weeks at hand, in any order; they must not matter.
        others = votes[week != name]
        more = pd.concat([exact, others[~others["vote_id"].isin(exact["vote_id"])].sample(frac=draw.random())])
        wide = clean_week(
            rows.sample(frac=1, random_state=seed), more.sample(frac=1, random_state=seed), settings, read_at
        )
        pd.testing.assert_frame_equal(wide.clean, result.clean)
        pd.testing.assert_frame_equal(wide.quarantined, result.quarantined)
    assert seen == {rule.reason for rule in RULES}  # or this test proves little
