"""Weeks start on Sundays in UTC and are half open."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import bounds, earlier, first_week, last_closed_week, parse_week, week_of, weeks_between


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (datetime(2026, 11, 15, tzinfo=UTC), "2026-11-15"),  # the first instant of a Sunday
        (datetime(2026, 11, 21, 23, 59, 59, 999999, tzinfo=UTC), "2026-11-15"),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2025-12-28"),  # over the turn of the year
        (datetime(2026, 11, 22, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-15"),  # still Saturday in UTC
    ],
)
def test_week_of(moment: datetime, week: str) -> None:
    assert week_of(moment) == week
    start, end = bounds(week)
    assert start <= moment < end


def test_week_of_refuses_a_moment_without_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        week_of(datetime(2026, 11, 15))


def test_last_closed_week_is_over() -> None:
    assert last_closed_week(datetime(2026, 11, 22, 1, tzinfo=UTC)) == "2026-11-15"  # when the schedule ticks
    assert last_closed_week(datetime(2026, 11, 21, 23, tzinfo=UTC)) == "2026-11-08"
    assert bounds(last_closed_week())[1] <= datetime.now(UTC)


def test_weeks_between_includes_both_ends() -> None:
    assert weeks_between("2026-11-01", "2026-11-15") == ["2026-11-01", "2026-11-08", "2026-11-15"]
    assert weeks_between("2026-11-15", "2026-11-15") == ["2026-11-15"]
    assert weeks_between("2026-11-15", "2026-11-08") == []
    assert earlier("2026-01-04", 1) == "2025-12-28"


@pytest.mark.parametrize("text", ["soon", "", "2026-02-30", "2026-11-16", "15.11.2026"])
def test_parse_week_refuses(text: str) -> None:
    with pytest.raises(RlhfError):
        parse_week(text)


def test_parse_week_says_which_week_was_meant() -> None:
    assert parse_week(" 2026-11-15 ") == "2026-11-15"
    with pytest.raises(RlhfError, match=r"Monday.*2026-11-15"):
        parse_week("2026-11-16")


def test_first_week_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RLHF_FIRST_WEEK", raising=False)
    assert first_week() == "2026-01-04"
    monkeypatch.setenv("RLHF_FIRST_WEEK", "2025-06-01")
    assert first_week() == "2025-06-01"
    monkeypatch.setenv("RLHF_FIRST_WEEK", "2025-06-02")
    with pytest.raises(RlhfError, match="RLHF_FIRST_WEEK: 2025-06-02 starts no week"):
        first_week()
