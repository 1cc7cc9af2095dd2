"""Attacks: as anon, as another user, as admin, as rlhf_pipeline. Each also shows that the rightful act works."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from rlhf_assets_tests.storage.conversations import chat, person, step, turn, vote

TABLES = ("users", "chats", "messages", "chat_feedback", "reasoning_steps", "rlhf_training_runs")


@pytest.fixture
def world(admin):
    """Two people with a conversation each, one admin, one training run."""
    people = {}
    for name, role in (("ann", "user"), ("bob", "user"), ("chief", "admin")):
        user = person(admin, role=role)
        talk = chat(admin, user)
        answer = turn(admin, talk, "assistant", "answer")
        one = step(admin, talk, "first", 0, message_id=answer)
        rating = vote(admin, user, message_id=answer)
        people[name] = SimpleNamespace(id=user, chat=talk, message=answer, step=one, vote=rating)
    admin.execute("insert into public.rlhf_training_runs (model_type, training_status) values ('reward', 'completed')")
    return SimpleNamespace(**people)


@contextmanager
def acting(admin: psycopg.Connection, role: str, user: object = None) -> Iterator[psycopg.Connection]:
    """The way a request reaches a Supabase: its role and its JWT's claims for one transaction, here undone after."""
    with admin.transaction(force_rollback=True):
        admin.execute(f"set local role {role}")
        admin.execute(
            "select set_config('request.jwt.claims', %s, true)",
            [json.dumps({"sub": str(user)}) if user else ""],
        )
        yield admin


def refused(connection: psycopg.Connection, statement: str, values: list[object] | None = None) -> None:
    with connection.transaction(force_rollback=True):
        try:
            connection.execute(statement, values)
        except InsufficientPrivilege:
            return
        pytest.fail(f"allowed: {statement} {values or ''}")


def count(connection: psycopg.Connection, table: str) -> int:
    return connection.execute(f"select count(*) from public.{table}").fetchone()[0]  # noqa: S608


def test_the_baseline_grants_as_a_supabase_does(admin):
    """Else row-level security would have nothing to hold back and the tests below would prove nothing."""
    for role in ("anon", "authenticated", "service_role"):
        granted = "select has_table_privilege(%s, 'public.chat_feedback', 'select, insert, update, delete')"
        assert admin.execute(granted, [role]).fetchone()[0]
    assert admin.execute("select rolbypassrls from pg_roles where rolname = 'service_role'").fetchone()[0]
    admin.execute("create table public.later (id int)")
    assert admin.execute("select has_table_privilege('anon', 'public.later', 'select')").fetchone()[0]


def test_auth_uid_reads_both_forms_of_the_claims(admin, world):
    for name, value in (("claims", json.dumps({"sub": str(world.ann.id)})), ("claim.sub", str(world.ann.id))):
        with admin.transaction(force_rollback=True):
            admin.execute("select set_config(%s, %s, true)", [f"request.jwt.{name}", value])
            assert admin.execute("select auth.uid()").fetchone()[0] == world.ann.id
    assert admin.execute("select auth.uid()").fetchone()[0] is None


def test_anon_sees_and_writes_nothing(admin, world):
    with acting(admin, "anon") as anon:
        for table in ("users", "chats", "messages", "chat_feedback"):
            assert count(anon, table) == 0
        for table in ("reasoning_steps", "rlhf_training_runs"):
            refused(anon, f"select count(*) from public.{table}")  # noqa: S608
            refused(anon, f"truncate public.{table}")
        refused(anon, "insert into public.reasoning_steps (chat_id, step_content, step_order) values (null, 'x', 0)")
        refused(anon, "insert into public.chat_feedback (message_id) values (%s)", [world.ann.message])
        refused(anon, "insert into public.rlhf_training_runs (model_type, training_status) values ('x', 'y')")
        refused(anon, "select * from rlhf.feedback")
        refused(anon, "select rlhf.targets_are_own(%s, null, null)", [world.ann.chat])
        assert anon.execute("update public.chat_feedback set feedback = 'negative'").rowcount == 0


def test_people_write_steps_only_in_their_own_chats(admin, world):
    admin.execute("create policy careless on public.messages for select to authenticated using (true)")
    insert = (
        "insert into public.reasoning_steps (chat_id, message_id, step_content, step_order) values (%s, %s, 'x', 1)"
    )
    with acting(admin, "authenticated", world.bob.id) as bob:
        bob.execute(insert, [world.bob.chat, world.bob.message])
        bob.execute(insert, [world.bob.chat, None])
        refused(bob, insert, [world.ann.chat, None])
        refused(bob, insert, [world.ann.chat, world.ann.message])
        refused(bob, insert, [world.bob.chat, world.ann.message])
        refused(bob, insert, [None, None])
        assert {row[0] for row in bob.execute("select chat_id from public.reasoning_steps")} == {world.bob.chat}
        refused(bob, "update public.reasoning_steps set chat_id = %s", [world.ann.chat])
        refused(bob, "delete from public.reasoning_steps")
        refused(bob, "truncate public.reasoning_steps cascade")


RATE = "insert into public.chat_feedback (user_id, chat_id, message_id, step_id) values (%s, %s, %s, %s)"


def attempts(us: SimpleNamespace, them: SimpleNamespace) -> dict[str, list[object]]:
    """Votes that `us` must not be able to give."""
    return {
        "their chat": [us.id, them.chat, None, None],
        "their message": [us.id, None, them.message, None],
        "their step": [us.id, None, None, them.step],
        "their message behind our chat": [us.id, us.chat, them.message, None],
        "their step behind our message": [us.id, us.chat, us.message, them.step],
        "in their name": [them.id, us.chat, us.message, None],
        "in nobody's name": [None, us.chat, us.message, None],
        "on nothing": [us.id, None, None, None],
    }


@pytest.mark.parametrize("permissive", [False, True], ids=["own policies", "careless policies"])
def test_people_rate_only_in_their_own_chats(admin, world, permissive):
    if permissive:
        for table in ("chat_feedback", "chats", "messages", "reasoning_steps"):
            admin.execute(
                f"create policy careless on public.{table} to authenticated, anon using (true) with check (true)"
            )
    with acting(admin, "authenticated", world.bob.id) as bob:
        bob.execute(RATE, [world.bob.id, world.bob.chat, world.bob.message, None])
        bob.execute(RATE, [world.bob.id, None, None, world.bob.step])
        bob.execute(RATE, [world.bob.id, world.bob.chat, None, None])
        for values in attempts(world.bob, world.ann).values():
            refused(bob, RATE, values)
        changed = bob.execute("update public.chat_feedback set feedback = 'negative' returning user_id").fetchall()
        assert {row[0] for row in changed} == {world.bob.id}
        refused(bob, "update public.chat_feedback set message_id = %s where user_id = auth.uid()", [world.ann.message])
        refused(bob, "update public.chat_feedback set user_id = %s where user_id = auth.uid()", [world.ann.id])
    with acting(admin, "anon") as anon:
        for values in attempts(world.bob, world.ann).values():
            refused(anon, RATE, values)
        assert anon.execute("update public.chat_feedback set feedback = 'negative'").rowcount == 0


def test_the_lock_holds_where_the_assistant_hides_its_chats(admin, world):
    """The policy asks with its owner's rights: an assistant without a policy on chats can still be rated."""
    admin.execute('drop policy "People keep their own chats" on public.chats')
    with acting(admin, "authenticated", world.bob.id) as bob:
        bob.execute(RATE, [world.bob.id, world.bob.chat, None, None])
        refused(bob, RATE, [world.bob.id, world.ann.chat, None, None])


def test_service_role_passes_by_row_level_security(admin, world):
    with acting(admin, "service_role") as service:
        service.execute(RATE, [world.ann.id, world.bob.chat, None, None])
        service.execute(RATE, [None, None, None, None])
        service.execute("insert into public.reasoning_steps (step_content, step_order) values ('x', 0)")
        assert count(service, "rlhf_training_runs") == 1
        refused(service, "select * from rlhf.feedback")


def test_admins_see_training_runs_and_cannot_write_them(admin, world):
    with acting(admin, "authenticated", world.chief.id) as chief:
        assert count(chief, "rlhf_training_runs") == 1
        refused(chief, "insert into public.rlhf_training_runs (model_type, training_status) values ('x', 'y')")
        refused(chief, "update public.rlhf_training_runs set training_status = 'failed'")
        refused(chief, "delete from public.rlhf_training_runs")
        refused(chief, "truncate public.rlhf_training_runs")
    with acting(admin, "authenticated", world.bob.id) as bob:
        assert count(bob, "rlhf_training_runs") == 0
        assert bob.execute("update public.users set role = 'admin'").rowcount == 0
        assert count(bob, "rlhf_training_runs") == 0


def test_nobody_of_the_web_can_use_schema_rlhf(admin):
    for role in ("anon", "authenticated", "service_role"):
        assert not admin.execute("select has_schema_privilege(%s, 'rlhf', 'usage')", [role]).fetchone()[0]
    with acting(admin, "authenticated") as somebody:
        refused(somebody, "select * from rlhf.migrations")
    admin.execute("grant usage on schema rlhf to anon, authenticated, service_role")  # as one might, to show the view
    for role in ("anon", "authenticated", "service_role"):
        with acting(admin, role) as somebody:
            for act in ("select from", "insert into rlhf.forgotten values ('x') --", "delete from", "truncate"):
                refused(somebody, f"{act} rlhf.forgotten")
            refused(somebody, "select * from rlhf.vote_details")
            refused(somebody, "select * from rlhf.coverage")
            refused(somebody, "select * from rlhf.recordings")
            refused(somebody, "select rlhf.moment('2026-01-04')")


@pytest.fixture
def pipeline(app_url, world):
    with psycopg.connect(app_url, autocommit=True) as connection:
        yield connection


def test_the_pipeline_reads_feedback_and_writes_training_runs(pipeline):
    assert pipeline.execute("select count(*) from rlhf.feedback").fetchone()[0] == 3
    assert pipeline.execute("select count(*) from rlhf.forgotten").fetchone()[0] == 0
    pipeline.execute("""
        insert into public.rlhf_training_runs (id, model_type, training_status)
        values ('00000000-0000-0000-0000-000000000001', 'reward', 'started')
        on conflict (id) do update set training_status = 'completed'
    """)
    assert pipeline.execute("update public.rlhf_training_runs set model_path = 'x'").rowcount == 2
    assert count(pipeline, "rlhf_training_runs") == 2


BEYOND_THE_PIPELINE = [
    *(f"select * from public.{table}" for table in TABLES if table != "rlhf_training_runs"),  # noqa: S608
    "select auth.uid()",
    "select * from rlhf.migrations",
    "select rlhf.targets_are_own(gen_random_uuid(), null, null)",
    "insert into rlhf.forgotten (user_id) values ('somebody')",
    "delete from rlhf.forgotten",
    "delete from rlhf.recordings",
    "update rlhf.recordings set receipt = gen_random_uuid()",
    "insert into public.chat_feedback (feedback) values ('positive')",
    "update public.chat_feedback set feedback = 'negative'",
    "insert into public.reasoning_steps (step_content, step_order) values ('x', 0)",
    "delete from public.rlhf_training_runs",
    "truncate public.rlhf_training_runs",
    "create table public.mine (id int)",
    "create table rlhf.mine (id int)",
    "create schema mine",
    "create or replace view rlhf.feedback as select 1",
    "drop view rlhf.feedback",
    "alter role rlhf_pipeline createdb",
    "set role service_role",
    "set role postgres",
    "select pg_read_file('PG_VERSION')",
    "copy (select 1) to program 'true'",
]


def test_the_pipeline_can_do_nothing_else(pipeline):
    for statement in BEYOND_THE_PIPELINE:
        refused(pipeline, statement)


def test_the_pipelines_view_cannot_be_written_through(pipeline):
    with pytest.raises(psycopg.Error, match="cannot delete from view"):
        pipeline.execute("delete from rlhf.feedback")


def test_the_pipelines_role_has_no_powers(admin):
    powers = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin"
    found = admin.execute(f"select {powers} from pg_roles where rolname = 'rlhf_pipeline'").fetchone()  # noqa: S608
    assert found == (False, False, False, False, False, True)
