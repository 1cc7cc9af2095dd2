"""What an app did to its votes, by hand."""

from rlhf_assets.feedback.changes import changes
from rlhf_assets_tests.feedback.votes import START, frame, step_vote, vote


def test_votes_are_told_apart_by_their_id() -> None:
    first = frame(vote(0), vote(1), vote(2), step_vote(3), vote(4, user_id=None))
    later = frame(
        vote(0),
        vote(1, feedback="negative"),
        vote(2, response="An answer that was edited afterwards."),
        vote(4, user_id="somebody"),
        vote(5),
        vote(6),
    )
    assert changes(first, later) == {"added": 2, "removed": 1, "changed": 3}
    assert changes(later, first) == {"added": 1, "removed": 2, "changed": 3}
    assert changes(first, first.iloc[::-1]) == {"added": 0, "removed": 0, "changed": 0}
    assert changes(frame(), first) == {"added": 5, "removed": 0, "changed": 0}


def test_a_column_that_came_later_changes_no_vote() -> None:
    later = frame(vote(0), vote(1)).assign(updated_at=START)
    first = later.drop(columns="updated_at")
    assert changes(first, later) == changes(later, first) == {"added": 0, "removed": 0, "changed": 0}
