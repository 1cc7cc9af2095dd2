"""Weeks out of a real PostgreSQL into Parquet."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback import read
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets.feedback.weeks import bounds
from rlhf_assets_tests.feedback.votes import START, WEEK, identity

Read = Callable[..., pd.DataFrame]


def insert(admin: psycopg.Connection, table: str, **columns: object) -> None:
    names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    admin.execute(f"insert into {table} ({names}) values ({places})", columns)  # noqa: S608


@pytest.fixture
def chat(admin: psycopg.Connection) -> psycopg.Connection:
    """Ann's chat: two questions with an answer each, the second answer in two steps."""
    insert(admin, "users", id=identity("ann"), segment="student")
    insert(admin, "chats", id=identity("chat"), user_id=identity("ann"), query="Opening?", system_prompt="Be brief.")
    turns = [("user", "First?"), ("assistant", "The first answer."), ("user", "Second?"), ("assistant", "1. a\n2. b")]
    for number, (role, content) in enumerate(turns):
        at = START - timedelta(hours=4 - number)
        insert(admin, "messages", id=identity(f"turn {number}"), chat_id=identity("chat"), role=role, content=content,
               created_at=at, model_version="v1" if role == "assistant" else None)  # fmt: skip
    for order, text in enumerate(("1. a", "2. b")):
        insert(admin, "reasoning_steps", id=identity(f"step {order}"), chat_id=identity("chat"), step_order=order,
               message_id=identity("turn 3"), step_content=text, created_at=START - timedelta(hours=1))  # fmt: skip
    return admin


def rate(admin: psycopg.Connection, name: str, at: object = START, **columns: object) -> str:
    insert(admin, "chat_feedback", **{"id": identity(name), "user_id": identity("ann"), "created_at": at, **columns})
    return identity(name)


@pytest.fixture
def week_of_votes(chat: psycopg.Connection, app_url: str, tmp_path: Path) -> Read:
    """Reads a week as the pipeline's role does and checks what holds for every file."""

    def read_week(kind: str = "message", week: str = WEEK) -> pd.DataFrame:
        path = tmp_path / f"{kind}.parquet"
        with psycopg.connect(app_url) as connection:
            written = read.write_week(connection, kind, week, path)
        assert pq.read_schema(path).equals(read.RAW_SCHEMA)
        assert [file.name for file in tmp_path.glob(f"{kind}*")] == [path.name]
        rows = pd.read_parquet(path)
        assert len(rows) == written
        return rows

    return read_week


def test_a_vote_comes_with_its_conversation(chat: psycopg.Connection, week_of_votes: Read) -> None:
    vote = rate(chat, "vote", message_id=identity("turn 3"), feedback="positive", feedback_score=4)
    rows = week_of_votes()
    assert len(rows) == 1
    row = rows.loc[0].to_dict()
    assert json.loads(row.pop("context")) == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "The first answer."},
    ]
    for name in ("step_id", "step_order"):
        assert pd.isna(row.pop(name))
    assert row == {
        "vote_id": vote,
        "created_at": pd.Timestamp(START),
        "user_id": identity("ann"),
        "segment": "student",
        "kind": "message",
        "chat_id": identity("chat"),
        "message_id": identity("turn 3"),
        "message_role": "assistant",
        "query": "Second?",
        "system_prompt": "Be brief.",
        "response": "1. a\n2. b",
        "steps_before": "[]",
        "feedback": "positive",
        "feedback_score": 4,
        "model_version": "v1",
        "message_created_at": pd.Timestamp(START - timedelta(hours=1)),
    }


def test_a_step_comes_with_the_steps_before_it(chat: psycopg.Connection, week_of_votes: Read) -> None:
    rate(chat, "vote", step_id=identity("step 1"), feedback="negative")
    assert week_of_votes().empty
    row = week_of_votes("step").loc[0]
    assert (row["query"], row["response"], row["step_order"]) == ("Second?", "2. b", 1)
    assert json.loads(row["steps_before"]) == ["1. a"]


def test_only_the_week_is_read_in_order(chat: psycopg.Connection, week_of_votes: Read) -> None:
    start, end = bounds(WEEK)
    tick = timedelta(microseconds=1)
    target = {"message_id": identity("turn 1"), "feedback": "positive"}
    for name, at in {"last": end - tick, "before": start - tick, "first": start, "after": end, "never": None}.items():
        rate(chat, name, at, **target)
    twins = sorted(rate(chat, name, start + tick, **target) for name in ("twin 1", "twin 2", "twin 3"))
    assert week_of_votes()["vote_id"].tolist() == [identity("first"), *twins, identity("last")]


def test_a_week_without_votes(week_of_votes: Read) -> None:
    for kind in ("message", "step"):
        rows = week_of_votes(kind)
        assert rows.empty
        assert list(rows.columns) == read.RAW_SCHEMA.names
        result = clean_week(rows, rows, CleaningSettings())
        assert result.clean.empty
        assert result.quarantined.empty


def test_votes_on_nothing_and_dates_of_no_calendar_keep_their_row(
    chat: psycopg.Connection, week_of_votes: Read
) -> None:
    rate(chat, "nothing", feedback="positive")
    chat.execute("update messages set created_at = 'infinity' where id = %s", [identity("turn 3")])
    rate(chat, "timeless", message_id=identity("turn 3"), feedback="positive")
    rows = week_of_votes().set_index("vote_id")
    assert len(rows) == 2
    assert rows["response"].isna()[identity("nothing")]
    assert pd.isna(rows.loc[identity("timeless"), "message_created_at"])


def test_batches_write_the_same_rows(
    chat: psycopg.Connection, week_of_votes: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(23):
        rate(
            chat,
            f"vote {number}",
            START + timedelta(minutes=number),
            message_id=identity("turn 1"),
            feedback="positive",
        )
    whole = week_of_votes()
    monkeypatch.setattr(read, "BATCH_ROWS", 10)
    pd.testing.assert_frame_equal(week_of_votes(), whole)
    assert pq.ParquetFile(tmp_path / "message.parquet").num_row_groups == 3
    monkeypatch.setattr(read, "BATCH_CHARACTERS", 1)
    pd.testing.assert_frame_equal(week_of_votes(), whole)
    assert pq.ParquetFile(tmp_path / "message.parquet").num_row_groups == 23


def test_a_reading_that_breaks_off_leaves_the_old_file(
    chat: psycopg.Connection, week_of_votes: Read, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        rate(chat, f"vote {number}", message_id=identity("turn 1"), feedback="positive")
    before = week_of_votes()
    path = tmp_path / "message.parquet"
    write = read.write_batch

    def lose_the_connection(writer: pq.ParquetWriter, batch: list[tuple]) -> int:
        chat.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rlhf_pipeline'")
        return write(writer, batch)

    monkeypatch.setattr(read, "BATCH_ROWS", 2)
    monkeypatch.setattr(read, "FETCHED_ROWS", 2)
    monkeypatch.setattr(read, "write_batch", lose_the_connection)
    with pytest.raises(psycopg.OperationalError), psycopg.connect(app_url) as connection:
        read.write_week(connection, "message", WEEK, path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), before)
    monkeypatch.setattr(read, "write_batch", write)
    pd.testing.assert_frame_equal(week_of_votes(), before)


def test_rows_outside_weeks(chat: psycopg.Connection, app_url: str) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    first = bounds("2026-01-04")[0]
    moments = [
        None,
        None,
        first - timedelta(seconds=1),
        first,
        START,
        now,
        now + timedelta(seconds=1),
        "infinity",
        "-infinity",
    ]
    for number, moment in enumerate(moments):
        rate(chat, f"vote {number}", moment, feedback="positive")
    with psycopg.connect(app_url) as connection:
        outside = read.rows_outside_weeks(connection, "2026-01-04", now)
    assert outside == {"no_date": 2, "before_first_week": 2, "future": 2}


def test_the_week_is_found_by_index(chat: psycopg.Connection) -> None:
    chat.execute(
        "insert into chat_feedback (user_id, feedback, created_at) "
        "select %s, 'positive', %s::timestamptz - n * interval '5 minutes' from generate_series(1, 20000) as n",
        [identity("ann"), START],
    )
    chat.execute("analyze")
    start, end = bounds(WEEK)
    query = b"explain " + read.WEEK_QUERY.as_bytes(chat)
    plan = "\n".join(row[0] for row in chat.execute(query, {"kind": "message", "start": start, "end": end}))
    assert "Seq Scan on chat_feedback" not in plan
    assert "on chat_feedback" in plan


def test_check_source(admin: psycopg.Connection, app_url: str, empty_url: str) -> None:
    with psycopg.connect(app_url) as connection:
        read.check_source(connection)
    with psycopg.connect(empty_url) as connection, pytest.raises(RlhfError, match=r"missing.*`rlhf migrate`"):
        read.check_source(connection)
    admin.execute("revoke select on rlhf.feedback from rlhf_pipeline")
    with psycopg.connect(app_url) as connection:
        with pytest.raises(RlhfError, match="rlhf_pipeline"):
            read.check_source(connection)
        assert connection.execute("select 1").fetchone() == (1,)  # the connection is still of use
    admin.execute("drop view rlhf.feedback")
    admin.execute("create view rlhf.feedback as select 1 as vote_id, now() as created_at")
    with (
        psycopg.connect(admin.info.dsn) as connection,
        pytest.raises(RlhfError, match=r"lacks user_id, segment.*migrate"),
    ):
        read.check_source(connection)
