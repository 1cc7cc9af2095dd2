"""What rlhf.feedback makes of a vote: its question, its context, its earlier steps."""

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.rows import dict_row

from rlhf_assets_tests.storage.conversations import chat, insert, person, step, turn, vote

COLUMNS = [
    ("vote_id", "uuid"),
    ("created_at", "timestamptz"),
    ("user_id", "uuid"),
    ("segment", "text"),
    ("kind", "text"),
    ("chat_id", "uuid"),
    ("message_id", "uuid"),
    ("step_id", "uuid"),
    ("message_role", "text"),
    ("query", "text"),
    ("context", "jsonb"),
    ("system_prompt", "text"),
    ("response", "text"),
    ("steps_before", "jsonb"),
    ("step_order", "int4"),
    ("feedback", "text"),
    ("feedback_score", "int4"),
    ("model_version", "text"),
    ("message_created_at", "timestamptz"),
]


@pytest.fixture
def seen(app_url):
    """Reads the row of one vote as rlhf_pipeline."""
    with psycopg.connect(app_url, autocommit=True, row_factory=dict_row) as pipeline:
        yield lambda vote_id: pipeline.execute("select * from rlhf.feedback where vote_id = %s", [vote_id]).fetchone()


def test_columns(admin):
    found = admin.execute("select * from rlhf.feedback").description
    assert [(column.name, admin.adapters.types[column.type_code].name) for column in found] == COLUMNS


def test_the_query_is_the_newest_user_turn_before_the_answer_and_the_rest_is_context(admin, seen):
    user = person(admin, segment="farmer")
    talk = insert(admin, "chats", user_id=user, query="first?", system_prompt="be brief")
    for minute, (role, content) in enumerate([("user", "first?"), ("assistant", "one"), ("user", "second?")]):
        turn(admin, talk, role, content, minute)
    answer = insert(
        admin,
        "messages",
        chat_id=talk,
        role="assistant",
        content="two",
        created_at="2026-03-01 12:03+00",
        model_version="m7",
    )
    turn(admin, talk, "user", "later?", 4)
    row = seen(vote(admin, user, message_id=answer, feedback_score=4))
    assert row["query"] == "second?"
    assert row["context"] == [{"role": "user", "content": "first?"}, {"role": "assistant", "content": "one"}]
    assert (row["response"], row["message_role"], row["kind"]) == ("two", "assistant", "message")
    assert (row["segment"], row["system_prompt"], row["model_version"]) == ("farmer", "be brief", "m7")
    assert (row["chat_id"], row["feedback_score"], row["steps_before"], row["step_order"]) == (talk, 4, [], None)


def test_turns_of_one_transaction_stand_in_the_order_they_were_said(admin, seen):
    user = person(admin)
    talk = chat(admin, user, "unused")
    turn(admin, talk, "user", "first?", 0)
    turn(admin, talk, "assistant", "one", 0)
    turn(admin, talk, "user", "second?", 1)
    answer = turn(admin, talk, "assistant", "two", 1)
    row = seen(vote(admin, user, message_id=answer))
    assert (row["query"], [one["content"] for one in row["context"]]) == ("second?", ["first?", "one"])


def test_without_a_user_turn_the_query_is_the_chats(admin, seen):
    user = person(admin)
    talk = chat(admin, user, "kept in the chat")
    turn(admin, talk, "assistant", "an earlier try", 0)
    row = seen(vote(admin, user, message_id=turn(admin, talk, "assistant", "answer", 1)))
    assert (row["query"], row["context"], row["response"]) == ("kept in the chat", [], "answer")


def test_a_vote_on_a_users_own_message_has_the_question_before_it(admin, seen):
    user = person(admin)
    talk = chat(admin, user)
    turn(admin, talk, "user", "before", 0)
    row = seen(vote(admin, user, message_id=turn(admin, talk, "user", "rated", 1)))
    assert (row["message_role"], row["query"], row["response"]) == ("user", "before", "rated")


def test_a_vote_on_nothing_keeps_its_row(admin, seen):
    user = person(admin)
    row = seen(vote(admin, user))
    assert (row["response"], row["query"], row["message_id"], row["user_id"]) == (None, None, None, user)
    in_chat = seen(vote(admin, None, chat_id=chat(admin, user, "asked")))
    assert (in_chat["response"], in_chat["query"]) == (None, "asked")


def test_a_step_with_its_message(admin, seen):
    user = person(admin)
    talk = chat(admin, user)
    turn(admin, talk, "user", "first?", 0)
    one = turn(admin, talk, "assistant", "a b", 1)
    turn(admin, talk, "user", "second?", 2)
    two = turn(admin, talk, "assistant", "c d", 3)
    answers = []
    for moment, message, texts in (("13:00", one, "ab"), ("13:01", two, "cd")):
        at = {"message_id": message, "created_at": f"2026-03-01 {moment}+00"}
        answers.append((message, texts, [step(admin, talk, text, i, **at) for i, text in enumerate(texts)]))
    for message, texts, steps in answers:
        row = seen(vote(admin, user, step_id=steps[1], feedback=None, feedback_score=2))
        assert (row["kind"], row["message_id"], row["message_role"]) == ("step", message, "assistant")
        assert (row["response"], row["steps_before"], row["step_order"]) == (texts[1], [texts[0]], 1)
        assert row["query"] == ("first?" if message == one else "second?")


def test_a_step_without_a_message_belongs_to_the_answer_of_its_time(admin, seen):
    user = person(admin)
    talk = chat(admin, user)
    turn(admin, talk, "user", "first?", 0)
    turn(admin, talk, "user", "second?", 20)
    early = [step(admin, talk, text, i, created_at=f"2026-03-01 12:1{i}+00") for i, text in enumerate("abc")]
    late = [step(admin, talk, text, i, created_at=f"2026-03-01 12:3{i}+00") for i, text in enumerate("xy")]
    rows = [seen(vote(admin, user, step_id=one, chat_id=talk)) for one in (early[2], late[1])]
    assert [(row["query"], row["steps_before"], row["message_id"]) for row in rows] == [
        ("first?", ["a", "b"], None),
        ("second?", ["x"], None),
    ]


def test_one_row_a_vote_however_the_joins_multiply(admin):
    user = person(admin)
    talk = chat(admin, user)
    answer = [turn(admin, talk, role, role, minute) for minute, role in enumerate(("user", "assistant") * 4)][-1]
    last = [step(admin, talk, "s", i, message_id=answer) for i in range(5)][-1]
    for target in ({"message_id": answer}, {"step_id": last}, {"chat_id": talk}, {}):
        vote(admin, user, **target)
    assert admin.execute("select count(*), count(distinct vote_id) from rlhf.feedback").fetchone() == (4, 4)


def test_an_assistant_without_the_optional_columns(admin, seen):
    user = person(admin, segment="farmer")
    talk = chat(admin, user)
    given = vote(admin, user, message_id=turn(admin, talk, "assistant", "answer"))
    for table, column in (("users", "segment"), ("chats", "system_prompt"), ("messages", "model_version")):
        admin.execute(f"alter table public.{table} drop column {column}")
    row = seen(given)
    assert (row["segment"], row["system_prompt"], row["model_version"], row["response"]) == (None, None, None, "answer")


def test_a_votes_last_change_and_the_consent_of_its_rater(admin, app_url):
    user = person(admin)
    given = vote(admin, user)

    def details():
        with psycopg.connect(app_url) as pipeline:
            return pipeline.execute("select * from rlhf.vote_details").fetchall()

    assert details() == [(given, None, None)]
    admin.execute("alter table public.users add consent boolean; update public.users set consent = true")
    assert details() == [(given, None, "true")]
    admin.execute("alter table public.chat_feedback add consent text, add updated_at timestamptz")
    assert details() == [(given, None, "true")]
    admin.execute("update public.chat_feedback set consent = 'no', updated_at = '2026-03-01 13:00:00.000001+01'")
    assert details() == [(given, datetime(2026, 3, 1, 12, 0, 0, 1, UTC), "no")]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-01 12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T14:00:00+02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("", None),
        ("yesterday noon or so", None),
        ("2026-02-30", None),
        ("2026-03-01 12:00 Mars/Olympus", None),
        ("99999999-01-01", None),
    ],
)
def test_a_last_change_kept_as_text(admin, app_url, written, moment):
    """One that names no zone is in UTC, whatever the session's own; one that is no moment costs no row."""
    admin.execute("alter table public.chat_feedback add updated_at text")
    vote(admin, None, updated_at=written)
    with psycopg.connect(app_url, options="-c timezone=Asia/Kolkata") as pipeline:
        assert pipeline.execute("select updated_at from rlhf.vote_details").fetchall() == [(moment,)]


def test_a_week_is_read_through_indexes(admin):
    admin.execute("""
        insert into public.users (segment) select 's' from generate_series(1, 200);
        insert into public.chats (id, user_id, query)
            select gen_random_uuid(), id, 'why?' from public.users, generate_series(1, 25);
        insert into public.messages (chat_id, role, content, created_at)
            select id, role, 'text', '2026-01-04'::timestamptz + n * interval '1 second'
            from public.chats, generate_series(1, 4) as n, unnest(array['user', 'assistant']) as role;
        insert into public.reasoning_steps (chat_id, message_id, step_content, step_order)
            select chat_id, id, 'text', n from public.messages, generate_series(0, 1) as n where role = 'assistant';
        insert into public.chat_feedback (message_id, created_at)
            select id, '2026-01-04'::timestamptz + random() * interval '52 weeks'
            from public.messages where role = 'assistant';
        insert into public.chat_feedback (step_id, created_at)
            select id, '2026-01-04'::timestamptz + random() * interval '52 weeks'
            from public.reasoning_steps limit 5000;
        analyze;
    """)
    plan = "\n".join(
        line
        for (line,) in admin.execute("""
            explain select * from rlhf.feedback where kind = 'step'
            and created_at >= '2026-06-07+00' and created_at < '2026-06-14+00' order by created_at, vote_id
        """)
    )
    assert "chat_feedback_created_at" in plan
    assert "reasoning_steps_chat_order" in plan or "reasoning_steps_message_order" in plan
    assert "messages_chat_created_at" in plan
    assert "Seq Scan on chat_feedback" not in plan
    for table in ("messages", "reasoning_steps", "chats"):
        assert f"Seq Scan on {table}" not in plan
    admin.execute("drop index public.chat_feedback_created_at")
    plan = str(admin.execute("explain select * from rlhf.feedback where created_at < '2026-01-11+00'").fetchall())
    assert "Seq Scan on chat_feedback" in plan  # so the check above can fail
