"""Weeks: Sunday 00:00 UTC to Sunday, each known by the ISO date of its first day, as in "2026-11-15"."""

import os
from datetime import UTC, date, datetime, time, timedelta

from rlhf_assets.errors import RlhfError

WEEK = timedelta(days=7)
SUNDAY = 6  # as date.weekday() counts


def week_of(moment: datetime) -> str:
    """The week that `moment` lies in. A moment without a time zone is a ValueError, since it names no instant."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    day = moment.astimezone(UTC).date()
    return (day - timedelta(days=(day.weekday() - SUNDAY) % 7)).isoformat()


def bounds(week: str) -> tuple[datetime, datetime]:
    """First instant of the week and of the next one, in UTC: half open."""
    start = datetime.combine(date.fromisoformat(week), time(), UTC)
    return start, start + WEEK


def earlier(week: str, n: int) -> str:
    """The week that lies `n` weeks before."""
    return (date.fromisoformat(week) - n * WEEK).isoformat()


def last_closed_week(now: datetime | None = None) -> str:
    """The newest week that is over at `now` (default: this moment)."""
    return earlier(week_of(now or datetime.now(UTC)), 1)


def weeks_between(first: str, last: str) -> list[str]:
    """All weeks from `first` to `last`, both included; none when `last` comes before `first`."""
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days
    return [earlier(first, -n) for n in range(days // 7 + 1)]


def parse_week(text: str) -> str:
    """A week as a person types it. Raises RlhfError when it is no date or starts no week."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise RlhfError(
            f"{text!r} is no date; write a week as the date of its Sunday, for example 2026-11-15"
        ) from None
    if day.weekday() != SUNDAY:
        sunday = week_of(datetime.combine(day, time(), UTC))
        raise RlhfError(f"{text.strip()} starts no week, it is a {day:%A}; the week it lies in is {sunday}")
    return day.isoformat()


def first_week() -> str:
    """The first week there is (RLHF_FIRST_WEEK); earlier votes lie in no week. Raises RlhfError as `parse_week`."""
    try:
        return parse_week(os.environ.get("RLHF_FIRST_WEEK") or "2026-01-04")
    except RlhfError as error:
        raise RlhfError(f"RLHF_FIRST_WEEK: {error}") from None
