"""The view rlhf.coverage: every number of a small week counted by hand, who may read it, and what it reads."""

import psycopg
import pytest

from rlhf_assets_tests.storage.conversations import insert, person, step, vote

WEEK = "2026-03-01"  # a Sunday


@pytest.fixture
def week(admin):
    """Answers of 4, 7, 8 and 3 characters and steps of 2 and 1; one more answer lies after the week."""
    ann, bob = (person(admin, segment=segment) for segment in ("farmer", "student"))
    talks = {user: insert(admin, "chats", user_id=user, query="why?") for user in (ann, bob, None)}

    def said(user, content, moment="2026-03-02 12:00+00", role="assistant"):
        return insert(admin, "messages", chat_id=talks[user], role=role, content=content, created_at=moment)

    four, seven, eight = (said(ann, "x" * length) for length in (4, 7, 8))
    three, nobodys = said(bob, "xxx", "2026-03-07 23:59:59+00"), said(None, "")
    later, own = said(bob, "xxx", "2026-03-08 00:00+00"), said(ann, "xxxx", role="user")
    first, second = (
        step(admin, talks[ann], "x" * (2 - order), order, message_id=four, created_at="2026-03-02 12:00+00")
        for order in (0, 1)
    )
    given = {"created_at": "2026-03-05 00:00+00"}
    vote(admin, ann, message_id=four, **given)
    vote(admin, bob, message_id=four, feedback=None, feedback_score=1, **given)  # the same answer again
    vote(admin, ann, message_id=seven, feedback=" ", **given)  # no rating
    vote(admin, ann, message_id=eight, created_at="2026-03-08 00:00+00")  # too late
    vote(admin, bob, message_id=three, feedback=None, feedback_score=5, **given)
    vote(admin, bob, message_id=later, **given)
    vote(admin, ann, message_id=own, **given)
    vote(admin, ann, message_id=nobodys, step_id=second, **given)  # on the step, not on an answer
    return first


def rows(connection, week=WEEK):
    query = "select kind, segment, doublings, served, rated from rlhf.coverage where week = %s"
    return set(connection.execute(query, [week]))


EXPECTED = {
    ("message", "farmer", 2, 2, 1),
    ("message", "farmer", 3, 1, 0),
    ("message", "student", 1, 1, 1),
    ("message", None, 0, 1, 0),
    ("step", "farmer", 1, 1, 0),
    ("step", "farmer", 0, 1, 1),
}


def test_a_week_counted_by_hand(app_url, week):
    with psycopg.connect(app_url) as pipeline:
        assert rows(pipeline) == EXPECTED
        assert rows(pipeline, "2026-03-08") == {("message", "student", 1, 1, 0)}
        assert rows(pipeline, "2026-03-02") == rows(pipeline, "2026-01-04") == set()  # no Sunday; nothing happened
        pipeline.execute("select set_config('timezone', 'Australia/Lord_Howe', false)")
        assert rows(pipeline) == EXPECTED


def test_an_assistant_without_segments(admin, week):
    admin.execute("alter table public.users drop column segment")
    assert ("message", None, 2, 2, 1) in rows(admin)


def test_only_the_pipeline_reads_it(admin):
    for role, allowed in (("rlhf_pipeline", True), ("anon", False), ("authenticated", False)):
        asked = "select has_table_privilege(%s, 'rlhf.coverage', 'select')"
        assert admin.execute(asked, [role]).fetchone() == (allowed,)
    for right in ("insert", "update", "delete"):
        asked = "select has_table_privilege('rlhf_pipeline', 'rlhf.coverage', %s)"
        assert admin.execute(asked, [right]).fetchone() == (False,)


def test_a_week_reads_that_week_through_indexes(admin):
    admin.execute("""
        insert into public.chats (query) select 'why?' from generate_series(1, 10000);
        insert into public.messages (chat_id, role, content, created_at)
            select id, 'assistant', 'text', '2026-01-04'::timestamptz + random() * interval '52 weeks'
            from public.chats;
        insert into public.reasoning_steps (chat_id, message_id, step_content, step_order, created_at)
            select chat_id, id, 'text', 0, created_at from public.messages;
        insert into public.chat_feedback (message_id, created_at) select id, created_at from public.messages;
        analyze;
    """)
    question = (
        "explain (analyze, costs off, timing off, summary off) select * from rlhf.coverage where week = '2026-06-07'"
    )

    def plan():
        return "\n".join(line for (line,) in admin.execute(question))

    said = plan()
    for index in ("messages_created_at", "reasoning_steps_created_at", "chat_feedback_created_at"):
        assert index in said
    for table in ("messages", "reasoning_steps", "chat_feedback"):
        assert f"Seq Scan on {table}" not in said
    admin.execute("drop index public.reasoning_steps_created_at")
    assert "Seq Scan on reasoning_steps" in plan()  # so the check above can fail
