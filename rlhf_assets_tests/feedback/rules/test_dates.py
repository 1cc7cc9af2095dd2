"""Votes that were given when nobody can have given them."""

from datetime import timedelta

from rlhf_assets.feedback.clean import Extraction
from rlhf_assets_tests.feedback.votes import START, reasons, step_vote, vote

SKEW = timedelta(minutes=10)
TICK = timedelta(microseconds=1)


def test_later_than_the_extraction_that_read_it() -> None:
    at = START + timedelta(days=3)
    rows = (vote(0, at=at), vote(1, message_created_at=at))
    for read_at, found in ((at - SKEW, [None, "before_answer"]), (at - SKEW - TICK, ["in_future", "in_future"])):
        assert reasons(*rows, extractions={"message": Extraction("x", read_at)}) == found
    assert reasons(*rows) == [None, "before_answer"]  # nobody knows when it was read
    other = {"step": Extraction("x", START)}
    assert reasons(vote(0, at=at), step_vote(1, at=at), extractions=other) == [None, "in_future"]


def test_before_its_own_answer() -> None:
    at = START + timedelta(days=3)
    assert reasons(vote(0, at=at, message_created_at=at + SKEW)) == [None]
    assert reasons(vote(0, at=at, message_created_at=at + SKEW + TICK)) == ["before_answer"]
    assert reasons(vote(0, at=at, message_created_at=None)) == [None]  # an infinite date, or a step without a message
