"""Weeks out of a real PostgreSQL into Parquet."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback import read
from rlhf_assets.feedback.clean import clean_week, typed
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
            assert read.week_fingerprint(connection, kind, week) == written
        assert pq.read_schema(path).equals(read.RAW_SCHEMA)
        assert [file.name for file in tmp_path.glob(f"{kind}*")] == [path.name]
        rows = pd.read_parquet(path)
        assert len(rows) == written.rows
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
    for name in ("step_id", "step_order", "updated_at", "consent"):
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


# everything a PostgreSQL can hold: any character but NUL
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TRICKY = st.sampled_from(
    ["", " ", '"', '""', ",", "\n", "\r\n", "\r", "\\.", "\\N", "null", "{}", "\ufeff", "é\u202e🙂", "\x1b["]
)
TEXT = st.one_of(st.none(), TRICKY, ANY_TEXT, st.lists(TRICKY).map("".join))
VOTES = st.lists(
    st.fixed_dictionaries(dict.fromkeys(("feedback", "response", "query", "system_prompt", "segment"), TEXT)),
    max_size=4,
)


@hypothesis.settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(votes=VOTES, block_bytes=st.integers(1, 2000))
def test_every_text_comes_through_as_a_plain_select_gives_it(
    admin: psycopg.Connection, tmp_path: Path, votes: list[dict[str, str | None]], block_bytes: int
) -> None:
    path = tmp_path / "rows.parquet"
    start, end = bounds(WEEK)
    with pytest.MonkeyPatch.context() as patch, admin.transaction(force_rollback=True):
        with admin.pipeline():
            for number, texts in enumerate(votes):
                tell(admin, number, texts)
        patch.setattr(read, "BLOCK_BYTES", block_bytes)
        extracted = read.write_week(admin, "message", WEEK, path)
        plain = admin.execute(read.WEEK_QUERY, {"kind": "message", "start": start, "end": end}).fetchall()
    assert [tuple(row.values()) for row in pq.read_table(path).to_pylist()] == plain
    assert extracted.rows == len(votes)


def tell(admin: psycopg.Connection, number: int, texts: dict[str, str | None]) -> None:
    """A vote on the third turn of a chat in which everything that can be a text is one of these."""
    user, chat, message = (identity(f"{name} {number}") for name in ("user", "chat", "turn"))
    insert(admin, "users", id=user, segment=texts["segment"])
    insert(admin, "chats", id=chat, user_id=user, query=texts["query"], system_prompt=texts["system_prompt"])
    turns = [("user", texts["query"]), ("user", texts["response"]), ("assistant", texts["response"])]
    for place, (role, content) in enumerate(turns):
        insert(admin, "messages", id=message if place == 2 else identity(f"{chat} {place}"), chat_id=chat, role=role,
               content=content, created_at=START + timedelta(hours=place))  # fmt: skip
    insert(admin, "chat_feedback", user_id=user, message_id=message, feedback=texts["feedback"],
           created_at=START + timedelta(microseconds=number))  # fmt: skip


def test_an_answer_of_fifty_megabytes(chat: psycopg.Connection, week_of_votes: Read) -> None:
    answer = 'naïve "quoted", and\na new line;' * 1_600_000
    chat.execute("update messages set content = %s where id = %s", [answer, identity("turn 3")])
    rate(chat, "small", message_id=identity("turn 1"), feedback="positive")
    rate(chat, "large", START + timedelta(hours=1), message_id=identity("turn 3"), feedback="positive")
    rate(chat, "after it", START + timedelta(hours=2), message_id=identity("turn 1"), feedback="positive")
    rows = week_of_votes()
    assert rows["response"].str.len().tolist() == [17, len(answer), 17]
    assert rows["response"][1] == answer


def test_blocks_are_row_groups_and_hold_the_same_rows(
    chat: psycopg.Connection, week_of_votes: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(23):
        at = START + timedelta(minutes=number)
        rate(chat, f"vote {number}", at, message_id=identity("turn 1"), feedback="positive")
    whole = week_of_votes()
    for block_bytes, groups in ((1, 23), (10**9, 1)):
        monkeypatch.setattr(read, "BLOCK_BYTES", block_bytes)
        pd.testing.assert_frame_equal(week_of_votes(), whole)
        assert pq.ParquetFile(tmp_path / "message.parquet").num_row_groups == groups


def test_the_fingerprint_is_that_of_the_source_rows(chat: psycopg.Connection, app_url: str) -> None:
    def seen(**settings: str) -> read.Extracted:
        with psycopg.connect(app_url, **settings) as connection:
            return read.week_fingerprint(connection, "message", WEEK)

    chat.execute("update users set segment = 'étudiant'")
    rate(chat, "vote", message_id=identity("turn 3"), feedback="positive")
    rate(chat, "other", message_id=identity("turn 1"), feedback="positive")
    first = seen()
    assert first.rows == 2
    assert datetime.now(UTC) - first.read_at < timedelta(minutes=1)
    rate(chat, "of another week", START - timedelta(hours=1), feedback="positive")
    assert seen() == first
    abroad = "-c timezone=Asia/Kolkata -c datestyle=SQL,DMY"
    assert seen(options=abroad, client_encoding="latin1") == first
    chat.execute("update users set segment = 'retired'")  # says nothing of votes that were cast before
    assert seen() == first
    found = {first.sha256}
    for change in (
        "update chat_feedback set feedback = 'negative' where created_at >= '2026-11-15'",
        "update messages set content = 'Another answer.' where content like 'The first%'",
        "update chats set system_prompt = null",
        "update chats set system_prompt = ''",
        "delete from chat_feedback where message_id is not null",
    ):
        chat.execute(change.encode())
        found.add(seen().sha256)
    assert len(found) == 6
    assert seen().rows == 0


def test_the_last_change_and_the_consent_of_a_vote(chat: psycopg.Connection, week_of_votes: Read, app_url: str) -> None:
    target = {"message_id": identity("turn 3"), "feedback": "positive"}
    chat.execute("alter table chat_feedback add updated_at timestamptz, add consent boolean")
    late = START + timedelta(days=30, microseconds=1)
    rate(chat, "a", START, updated_at=late, consent=False, **target)
    rate(chat, "b", START + timedelta(hours=1), updated_at=START, consent=None, **target)
    rate(chat, "c", START + timedelta(hours=2), updated_at="infinity", consent=True, **target)
    rows = week_of_votes()
    assert rows["updated_at"].tolist() == [late, START, pd.NaT]
    assert rows["consent"].fillna("not asked").tolist() == ["false", "not asked", "true"]
    with psycopg.connect(app_url) as connection:
        assert read.week_fingerprint(connection, "message", WEEK).newest_updated_at == late


def test_weeks_extracted_before_a_column_was_added(chat: psycopg.Connection, week_of_votes: Read) -> None:
    rate(chat, "vote", message_id=identity("turn 3"), feedback="positive")
    rows = week_of_votes()
    old = rows.drop(columns=list(read.ADDED_LATER))
    pd.testing.assert_frame_equal(typed(old), typed(rows))
    with pytest.raises(KeyError, match="response"):
        typed(old.drop(columns="response"))


def test_forgotten_people_leave_no_row(chat: psycopg.Connection, week_of_votes: Read, app_url: str) -> None:
    insert(chat, "users", id=identity("bob"))
    for number, person in enumerate(("ann", "bob", None)):
        user = {"user_id": person and identity(person), "feedback": "positive"}
        rate(chat, f"message {number}", message_id=identity("turn 3"), **user)
        rate(chat, f"step {number}", step_id=identity("step 1"), **user)
        rate(chat, f"never {number}", None, **user)
    insert(chat, "rlhf.forgotten", user_id=identity("ann"))
    for kind in ("message", "step"):
        assert set(week_of_votes(kind)["user_id"].dropna()) == {identity("bob")}
        assert len(week_of_votes(kind)) == 2
    with psycopg.connect(app_url) as connection:
        assert read.rows_outside_weeks(connection, "2026-01-04", datetime.now(UTC))["no_date"] == 2


def test_a_reading_that_breaks_off_leaves_the_old_file(
    chat: psycopg.Connection, week_of_votes: Read, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the connection when the first rows have come and most are still to come."""
    chat.execute("update messages set content = repeat('long ', 200000) where id = %s", [identity("turn 1")])
    for number in range(20):
        rate(chat, f"vote {number}", message_id=identity("turn 1"), feedback="positive")
    before = week_of_votes()
    path = tmp_path / "message.parquet"
    parse = read.parsed

    def lose_the_connection(block: bytes) -> pa.Table:
        chat.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rlhf_pipeline'")
        return parse(block)

    monkeypatch.setattr(read, "parsed", lose_the_connection)
    monkeypatch.setattr(read, "BLOCK_BYTES", 1)
    with pytest.raises(psycopg.OperationalError), psycopg.connect(app_url) as connection:
        read.write_week(connection, "message", WEEK, path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), before)
    monkeypatch.setattr(read, "parsed", parse)
    pd.testing.assert_frame_equal(week_of_votes(), before)


def test_rows_that_cannot_be_written_end_the_reading(
    chat: psycopg.Connection, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault of the writing thread is the caller's, and the connection stays of use."""

    def full(table: pa.Table) -> None:
        raise OSError(28, "No space left on device")

    for number in range(5):
        rate(chat, f"vote {number}", message_id=identity("turn 1"), feedback="positive")
    monkeypatch.setattr(read, "BLOCK_BYTES", 1)
    with psycopg.connect(app_url) as connection:
        with pytest.raises(OSError, match="No space left"):
            read.read_week(connection, "message", WEEK, full)
        assert connection.execute("select 1").fetchone() == (1,)


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


def test_a_week_is_found_by_index_and_no_table_is_read_whole(admin: psycopg.Connection) -> None:
    """Two years of votes, in the proportions of an assistant in use."""
    admin.execute("""
        insert into users (segment) select 's' from generate_series(1, 500);
        insert into chats (id, user_id, query)
            select gen_random_uuid(), id, 'why?' from users, generate_series(1, 20);
        insert into messages (chat_id, role, content, created_at)
            select id, role, 'text', '2024-11-17'::timestamptz + random() * interval '104 weeks'
            from chats, generate_series(1, 2), unnest(array['user', 'assistant']) as role;
        insert into reasoning_steps (chat_id, message_id, step_content, step_order, created_at)
            select chat_id, id, 'text', n, created_at
            from messages, generate_series(0, 1) as n where role = 'assistant';
        insert into chat_feedback (user_id, message_id, created_at)
            select chats.user_id, messages.id, messages.created_at
            from messages join chats on chats.id = chat_id where role = 'assistant';
        insert into chat_feedback (user_id, step_id, created_at)
            select chats.user_id, steps.id, steps.created_at
            from reasoning_steps as steps join chats on chats.id = chat_id;
        analyze users, chats, messages, reasoning_steps, chat_feedback;
    """)
    start, end = bounds("2026-03-15")
    query = b"explain " + read.WEEK_QUERY.as_bytes(admin)

    def plan(kind: str) -> str:
        return "\n".join(row[0] for row in admin.execute(query, {"kind": kind, "start": start, "end": end}))

    for kind in ("message", "step"):
        assert "on chat_feedback_created_at" in plan(kind)
        for table in ("chat_feedback", "messages", "reasoning_steps", "chats"):
            assert f"Seq Scan on {table}" not in plan(kind), plan(kind)
    assert "reasoning_steps_message_order" in plan("step") or "reasoning_steps_chat_order" in plan("step")
    admin.execute("drop index chat_feedback_created_at")
    assert "Seq Scan on chat_feedback" in plan("message")  # so the test above can fail


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
    admin.execute("grant select on rlhf.feedback to rlhf_pipeline; revoke select on rlhf.forgotten from rlhf_pipeline")
    with psycopg.connect(app_url) as connection, pytest.raises(RlhfError, match=r"may not read rlhf\.forgotten"):
        read.check_source(connection)
    admin.execute("drop table rlhf.forgotten")
    with psycopg.connect(app_url) as connection, pytest.raises(RlhfError, match=r"rlhf\.forgotten is missing.*migrate"):
        read.check_source(connection)
    admin.execute("drop view rlhf.feedback")
    admin.execute("create view rlhf.feedback as select 1 as vote_id, now() as created_at")
    with (
        psycopg.connect(admin.info.dsn) as connection,
        pytest.raises(RlhfError, match=r"lacks user_id, segment.*migrate"),
    ):
        read.check_source(connection)
