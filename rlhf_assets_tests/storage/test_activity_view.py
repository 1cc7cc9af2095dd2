"""The view rlhf.activity: every number of a small week counted by hand, who may read it, and what it reads."""

import psycopg
import pytest

from rlhf_assets_tests.storage.conversations import insert, person, step, vote

WEEK = "2026-03-01"  # a Sunday
NEXT = "2026-03-08"


def said(admin, user, *turns, version="v1"):
    """A chat of turns (role, moment); returns the ids of its messages."""
    talk = insert(admin, "chats", user_id=user, query="why?")
    return [
        insert(
            admin, "messages", chat_id=talk, role=role, content="text", created_at=f"{moment}+00", model_version=version
        )
        for role, moment in turns
    ]


def rows(connection, week=WEEK):
    """Numbers by (cut, name)."""
    found = connection.execute(
        "select cut, name, messages, rated, chats, users, returned from rlhf.activity where week = %s", [week]
    )
    return {(cut, name): tuple(numbers) for cut, name, *numbers in found}


@pytest.fixture
def week(admin):
    """Ann talks twice and comes back, Bob once and does not; nobody knows who the third chat belongs to."""
    ann, bob = (person(admin, segment=segment) for segment in ("farmer", "student"))
    first = said(
        admin,
        ann,
        ("user", "2026-03-01 00:00"),
        ("assistant", "2026-03-01 00:00"),
        ("user", "2026-03-02 00:00"),
        ("assistant", "2026-03-02 00:01"),
    )
    second = said(admin, ann, ("user", "2026-03-03 00:00"), ("assistant", "2026-03-03 00:01"), version="v2")
    third = said(admin, bob, ("user", "2026-03-07 23:59"), ("assistant", "2026-03-07 23:59:59.9"))
    said(admin, None, ("assistant", "2026-03-04 00:00"), version=None)
    said(admin, ann, ("user", "2026-03-14 23:59"))  # Ann is back on the last day that counts
    said(admin, bob, ("assistant", "2026-03-10 00:00"), ("user", "2026-03-15 00:00"))  # spoken to; a minute too late
    given = {"created_at": "2026-03-05 00:00+00"}
    vote(admin, ann, message_id=first[1], **given)
    vote(admin, bob, message_id=first[1], feedback=None, feedback_score=1, **given)
    vote(admin, bob, message_id=first[3], feedback="negative", feedback_score=4, **given)  # the score says it
    thought = step(admin, insert(admin, "chats", user_id=ann), "step", 0, message_id=second[1])
    vote(admin, ann, step_id=thought, feedback=" Negative ", **given)
    vote(admin, ann, message_id=third[1], feedback=" ", **given)  # no rating
    vote(admin, ann, message_id=third[1], created_at="2026-03-08 00:00+00")  # not in this week


def test_a_week_counted_by_hand(app_url, week):
    with psycopg.connect(app_url) as pipeline:
        assert rows(pipeline) == {
            ("all", None): (5, 3, 4, 2, 1),
            ("segment", "farmer"): (3, 3, 2, 1, 1),
            ("segment", "student"): (1, 0, 1, 1, 0),
            ("segment", None): (1, 0, 1, 0, 0),
            ("model_version", "v1"): (3, 2, 2, 2, 1),
            ("model_version", "v2"): (1, 1, 1, 1, 1),
            ("model_version", None): (1, 0, 1, 0, 0),
            ("opinion", "good"): (2, 2, 1, 1, 1),
            ("opinion", "bad"): (1, 1, 1, 1, 1),
            ("opinion", "unrated"): (2, 0, 2, 1, 0),
        }


def test_a_week_in_which_nothing_happened_is_a_row_of_zeros(app_url, week):
    with psycopg.connect(app_url) as pipeline:
        assert rows(pipeline, "2026-01-04") == {("all", None): (0, 0, 0, 0, 0)}
        assert rows(pipeline, "2026-03-02") == {}  # no Sunday


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"])
def test_weeks_begin_at_midnight_utc_wherever_the_session_thinks_it_is(app_url, week, zone):
    """In both zones clocks change between March and July."""
    with psycopg.connect(app_url) as pipeline:
        expected = [rows(pipeline, sunday) for sunday in (WEEK, NEXT, "2026-07-05")]
        assert all(expected)
        pipeline.execute("select set_config('timezone', %s, false)", [zone])
        assert [rows(pipeline, sunday) for sunday in (WEEK, NEXT, "2026-07-05")] == expected


def test_an_assistant_without_the_optional_columns(admin, week):
    for table, column in (("users", "segment"), ("messages", "model_version")):
        admin.execute(f"alter table public.{table} drop column {column}")
    found = rows(admin)
    assert found["all", None] == found["segment", None] == found["model_version", None] == (5, 3, 4, 2, 1)


def test_only_the_pipeline_reads_it(admin):
    for role, allowed in (("rlhf_pipeline", True), ("anon", False), ("authenticated", False)):
        asked = "select has_table_privilege(%s, 'rlhf.activity', 'select')"
        assert admin.execute(asked, [role]).fetchone() == (allowed,)
    for right in ("insert", "update", "delete"):
        asked = "select has_table_privilege('rlhf_pipeline', 'rlhf.activity', %s)"
        assert admin.execute(asked, [right]).fetchone() == (False,)


def test_a_week_reads_that_week_through_indexes(admin):
    admin.execute("""
        insert into public.users (segment) select 's' from generate_series(1, 200);
        insert into public.chats (id, user_id, query)
            select gen_random_uuid(), id, 'why?' from public.users, generate_series(1, 50);
        insert into public.messages (chat_id, role, content, created_at)
            select id, role, 'text', '2026-01-04'::timestamptz + random() * interval '52 weeks'
            from public.chats, unnest(array['user', 'assistant']) as role;
        insert into public.chat_feedback (message_id, created_at)
            select id, created_at from public.messages where role = 'assistant';
        analyze;
    """)
    question = (
        "explain (analyze, costs off, timing off, summary off) select * from rlhf.activity where week = '2026-06-07'"
    )

    def plan():
        return "\n".join(line for (line,) in admin.execute(question))

    said = plan()
    assert said.count("messages_created_at") >= 2
    assert "chat_feedback_created_at" in said
    for table in ("messages", "chat_feedback"):
        assert f"Seq Scan on {table}" not in said
    admin.execute("drop index public.messages_created_at")
    assert "Seq Scan on messages" in plan()  # so the check above can fail
