"""Loading the demo feedback into a real database."""

import datetime as dt

import psycopg
import pytest

from rlhf_assets.demo.load import demo_weeks, first_week_with, load_demo
from rlhf_assets.errors import RlhfError

SUNDAY_NIGHT = dt.datetime(2026, 11, 22, 1, 0, tzinfo=dt.UTC)


def test_dates_end_with_the_last_closed_week_and_stay_put(admin: psycopg.Connection) -> None:
    assert demo_weeks(admin) is None
    assert load_demo(admin, SUNDAY_NIGHT) == ("2026-08-30", "2026-11-15")
    first, last, votes = admin.execute(
        "select min(created_at), max(created_at), count(*) from chat_feedback"
    ).fetchone()
    assert dt.datetime(2026, 8, 30, tzinfo=dt.UTC) <= first < dt.datetime(2026, 9, 6, tzinfo=dt.UTC)
    assert dt.datetime(2026, 11, 15, tzinfo=dt.UTC) <= last < dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    assert load_demo(admin, SUNDAY_NIGHT + dt.timedelta(weeks=3)) == ("2026-08-30", "2026-11-15")
    assert admin.execute("select count(*) from chat_feedback").fetchone()[0] == votes


def test_older_feedback_of_ones_own_keeps_its_first_week(
    admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = load_demo(admin, SUNDAY_NIGHT)
    assert first_week_with(admin, first) == first
    monkeypatch.setenv("RLHF_FIRST_WEEK", "2026-06-07")  # as an earlier demo may have left it
    assert first_week_with(admin, first) == first
    admin.execute(
        "update chat_feedback set created_at = '2026-07-01' where id in (select id from chat_feedback limit 1)"
    )
    assert first_week_with(admin, first) == "2026-06-07"
    monkeypatch.setenv("RLHF_FIRST_WEEK", "2026-13-01")
    with pytest.raises(RlhfError, match="RLHF_FIRST_WEEK: "):
        first_week_with(admin, first)


def test_pipeline_sees_every_vote_with_its_conversation(admin: psycopg.Connection) -> None:
    load_demo(admin, SUNDAY_NIGHT)
    rows = admin.execute("""
        select count(*), count(*) filter (where query is null), count(*) filter (where kind = 'step'),
               count(*) filter (where jsonb_array_length(context) = 2),
               count(*) filter (where segment is null), count(*) filter (where system_prompt is null)
        from rlhf.feedback""").fetchone()
    assert rows[0] == admin.execute("select count(*) from chat_feedback").fetchone()[0]
    assert rows[1] == 25  # the votes on nothing
    assert rows[2] > 500
    assert rows[3] > 50
    assert rows[4:] == (0, 25)
