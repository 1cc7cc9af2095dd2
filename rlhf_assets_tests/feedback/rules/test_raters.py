"""Planted scripts and brigades are found, and readers who only look like them are not."""

from datetime import timedelta

from rlhf_assets.feedback.settings import LOOKBACK_WEEKS, CleaningSettings
from rlhf_assets.feedback.weeks import bounds, earlier
from rlhf_assets_tests.feedback.votes import START, WEEK, frame, identity, reasons, step_vote, vote

NOON = START + timedelta(days=2, hours=12)
FAST = CleaningSettings(fast_answers=4, fast_seconds=6)
ARRANGED = CleaningSettings(brigade_accounts=4, brigade_minutes=30, fresh_hours=5)
TARGET = {"query": "Is it true?", "response": "Nobody knows for sure.", "feedback": "negative"}


def script(count: int, *, apart: float, start: int = 0, **changes: object) -> list[dict]:
    """One person's votes on so many answers, so many seconds apart."""
    ann = {"user_id": identity("ann"), **changes}
    at = [NOON + timedelta(seconds=i * apart) for i in range(count)]
    stood = [{"message_created_at": moment - timedelta(hours=1), **ann} for moment in at]
    return [vote(start + i, at=moment, **row) for i, (moment, row) in enumerate(zip(at, stood, strict=True))]


def test_a_script_votes_faster_than_anybody_reads() -> None:
    assert reasons(*script(4, apart=2), vote(99), settings=FAST) == ["too_fast_rater"] * 4 + [None]
    assert reasons(*script(4, apart=2.1), settings=FAST) == [None] * 4
    assert reasons(*script(3, apart=0), settings=FAST) == [None] * 3
    # votes that lie outside the burst stand
    later = vote(50, user_id=identity("ann"), at=NOON + timedelta(minutes=5))
    assert reasons(*script(5, apart=1), later, settings=FAST) == ["too_fast_rater"] * 5 + [None]


def test_what_is_no_script() -> None:
    nobody = script(6, apart=0, user_id=None)
    assert reasons(*nobody, settings=FAST) == [None] * 6
    people = [row | {"user_id": identity(i)} for i, row in enumerate(script(6, apart=0))]
    assert reasons(*people, settings=FAST) == [None] * 6
    # the steps of one answer, rated with one click on "send"
    one = {"user_id": identity("ann"), "at": NOON, "message_id": identity("answer"), "message_created_at": START}
    assert reasons(*(step_vote(i, **one) for i in range(8)), settings=FAST) == [None] * 8
    # going to and fro between two answers
    two = [row | {"message_id": identity(i % 2)} for i, row in enumerate(script(8, apart=0.1))]
    assert "too_fast_rater" not in reasons(*two, settings=FAST)
    # a history written into the tables at once, answers and votes alike
    written = [row | {"message_created_at": row["created_at"] - timedelta(seconds=1)} for row in script(8, apart=0.01)]
    assert reasons(*written, settings=FAST) == [None] * 8


def test_a_script_is_seen_across_the_turn_of_the_week() -> None:
    rows = script(4, apart=1)
    at = [START + timedelta(seconds=offset) for offset in (-2, -1, 0, 1)]
    moved = [row | {"created_at": moment, "message_created_at": None} for row, moment in zip(rows, at, strict=True)]
    assert reasons(*moved[2:], lookback=frame(*moved[:2]), settings=FAST) == ["too_fast_rater"] * 2
    assert reasons(*moved[2:], settings=FAST) == [None] * 2


def brigade(count: int, *, apart: float, **changes: object) -> list[dict]:
    """So many accounts' votes on one text, each in a chat of its own, so many minutes apart."""
    return [vote(i, at=NOON + timedelta(minutes=i * apart), **TARGET, **changes) for i in range(count)]


def test_a_brigade_is_many_fresh_accounts_on_one_text() -> None:
    assert reasons(*brigade(4, apart=10), vote(99), settings=ARRANGED) == ["brigade"] * 4 + [None]
    assert reasons(*brigade(4, apart=10.1), settings=ARRANGED) == [None] * 4
    assert reasons(*brigade(3, apart=0), settings=ARRANGED) == [None] * 3
    # who rates the same text otherwise, or another text alike, is none of them
    others = [vote(50, at=NOON, **TARGET | {"feedback": "positive"}), vote(51, at=NOON, **TARGET | {"query": "Hm?"})]
    assert reasons(*brigade(4, apart=1), *others, settings=ARRANGED) == ["brigade"] * 4 + [None] * 2


def test_what_is_no_brigade() -> None:
    mixed = [row | {"feedback": "positive" if i % 2 else "negative"} for i, row in enumerate(brigade(6, apart=1))]
    assert reasons(*mixed, settings=ARRANGED) == [None] * 6
    one_person = [row | {"user_id": identity("ann")} for row in brigade(6, apart=1)]
    assert reasons(*one_person, settings=ARRANGED) == [None] * 6
    assert reasons(*brigade(6, apart=1, user_id=None), settings=ARRANGED) == [None] * 6


def test_accounts_that_have_long_voted_are_not_fresh() -> None:
    rows = brigade(4, apart=1)
    known = rows[0]["user_id"]
    for hours, found in ((5, "brigade"), (5.1, None)):
        past = vote(70, user_id=known, at=NOON - timedelta(hours=hours))
        assert reasons(*rows, past, settings=ARRANGED) == [found] * 4 + [None]
    reach = bounds(earlier(WEEK, LOOKBACK_WEEKS))[0]
    assert reasons(*rows, lookback=frame(vote(70, user_id=known, at=reach)), settings=ARRANGED) == [None] * 4
    before = frame(vote(70, user_id=known, at=reach - timedelta(seconds=1)))
    assert reasons(*rows, lookback=before, settings=ARRANGED) == ["brigade"] * 4


def test_a_brigade_is_seen_across_the_turn_of_the_week() -> None:
    at = [START + timedelta(minutes=offset) for offset in (-2, -1, 0, 1)]
    never = {"message_created_at": None}
    rows = [row | never | {"created_at": moment} for row, moment in zip(brigade(4, apart=1), at, strict=True)]
    assert reasons(*rows[2:], lookback=frame(*rows[:2]), settings=ARRANGED) == ["brigade"] * 2
    assert reasons(*rows[2:], settings=ARRANGED) == [None] * 2
