"""The migrations on an empty, a used and a half-migrated database, by `rlhf migrate` and by psql."""

import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.migrations import BASELINE, MIGRATIONS, local_baseline, migrate
from rlhf_assets_tests.storage.conversations import chat, person, turn

FILES = sorted(MIGRATIONS.glob("0*.sql"))
EARLIER_SCRIPT = Path(__file__).with_name("earlier_script.sql").read_text()
STEP_COLUMNS = ["id", "chat_id", "step_content", "step_order", "created_at", "message_id"]
RUN_COLUMNS = ["id", "model_type", "training_status", "start_time", "end_time", "metrics", "model_path", "created_at"]

SCHEMA = """
    select 'column', table_schema || '.' || table_name || '.' || column_name,
        concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default)
    from information_schema.columns where table_schema in ('public', 'rlhf', 'auth')
    union all
    select 'policy', tablename || '.' || policyname, concat_ws(' ', permissive, roles, cmd, qual, with_check)
    from pg_policies
    union all
    select 'check', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    from pg_constraint where contype in ('c', 'f', 'p') and connamespace = 'public'::regnamespace
    union all
    select 'grants', relname, array(select unnest(relacl)::text order by 1)::text || relrowsecurity from pg_class
    where relnamespace in ('public'::regnamespace, 'rlhf'::regnamespace) and relkind in ('r', 'v')
    union all
    select 'index', indexname, indexdef from pg_indexes where schemaname in ('public', 'rlhf')
    order by 1, 2
"""


@pytest.fixture
def empty(empty_url):
    with psycopg.connect(empty_url) as connection:
        yield connection


def columns(connection: psycopg.Connection, table: str) -> list[str]:
    found = connection.execute(f"select * from {table} limit 0").description  # noqa: S608
    return [column.name for column in found]


def psql(url: str, file: Path, *options: str) -> None:
    program = embedded_postgres.programs() / "psql"
    command = [program, url, "-X", "-q", "-v", "ON_ERROR_STOP=1", *options, "-f", file]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_all_files_apply_in_order_and_a_second_run_changes_nothing(empty):
    local_baseline(empty)
    assert migrate(empty) == [file.name for file in FILES]
    before = empty.execute(SCHEMA).fetchall()
    local_baseline(empty)
    assert migrate(empty) == []
    assert empty.execute(SCHEMA).fetchall() == before
    assert [row[0] for row in empty.execute("select name from rlhf.migrations order by 1")] == [f.name for f in FILES]


def test_the_guides_tables_columns_and_checks(admin):
    assert columns(admin, "public.reasoning_steps") == STEP_COLUMNS
    assert columns(admin, "public.rlhf_training_runs") == RUN_COLUMNS
    assert {"step_id", "feedback_score", "feedback_type"} <= set(columns(admin, "public.chat_feedback"))
    for score in (0, 6):
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute("insert into public.chat_feedback (feedback_score) values (%s)", [score])
    assert {row[0] for row in admin.execute("select policyname from pg_policies")} >= {
        "Allow authenticated users to select their reasoning steps",
        "Allow authenticated users to create reasoning steps",
        "Allow service role full access to reasoning steps",
        "Allow service role full access to rlhf_training_runs",
        "Allow admins to select rlhf_training_runs",
    }


@pytest.mark.parametrize("options", [(), ("--single-transaction",)], ids=["plain", "single transaction"])
def test_psql_gives_the_same_database(admin, empty_url, options):
    for _ in range(2):
        for file in (BASELINE, *FILES):
            psql(empty_url, file, *options)
    with psycopg.connect(empty_url) as connection:
        by_psql = connection.execute(SCHEMA).fetchall()
        assert by_psql == [row for row in admin.execute(SCHEMA) if "migrations" not in row[1]]
        assert migrate(connection) == [file.name for file in FILES]  # recorded now, and nothing else changed
        assert connection.execute(SCHEMA).fetchall() == admin.execute(SCHEMA).fetchall()


def test_a_database_in_use_keeps_its_rows(empty):
    local_baseline(empty)
    user = person(empty)
    answer = turn(empty, chat(empty, user), "assistant", "answer")
    empty.execute(
        "insert into chat_feedback (user_id, message_id, feedback) values (%s, %s, 'negative')", [user, answer]
    )
    migrate(empty)
    row = empty.execute("select user_id, response, feedback, feedback_score from rlhf.feedback").fetchone()
    assert row == (user, "answer", "negative", None)


def test_after_the_guides_own_migration(admin, empty):
    local_baseline(empty)
    empty.commit()
    empty.autocommit = True
    empty.execute(EARLIER_SCRIPT)
    careless = "select with_check from pg_policies where policyname like '%%to create reasoning steps'"
    assert empty.execute(careless).fetchone() == ("true",)
    migrate(empty)
    assert empty.execute(SCHEMA).fetchall() == admin.execute(SCHEMA).fetchall()


def test_after_a_part_of_the_guides_migration(admin, empty):
    """Tables without policies, a score without its check, some columns missing."""
    local_baseline(empty)
    empty.execute("""
        create table public.reasoning_steps (
            id uuid primary key default gen_random_uuid(), chat_id uuid references public.chats (id),
            step_content text not null, step_order integer not null,
            created_at timestamptz default timezone('utc'::text, now())
        );
        alter table public.chat_feedback add column step_id uuid references public.reasoning_steps (id);
        alter table public.chat_feedback add column feedback_score integer;
        insert into public.chat_feedback (feedback_score) values (7);
    """)
    migrate(empty)
    check = "select convalidated from pg_constraint where conname = 'chat_feedback_feedback_score_check'"
    assert empty.execute(check).fetchone() == (False,)
    empty.execute("update public.chat_feedback set feedback_score = 5")
    empty.execute(FILES[2].read_text())
    assert empty.execute(SCHEMA).fetchall() == admin.execute(SCHEMA).fetchall()


def test_tables_of_the_same_name_in_another_schema_do_not_count(empty):
    local_baseline(empty)
    empty.execute("""
        create schema other;
        create table other.reasoning_steps (id int);
        create table other.rlhf_training_runs (id int);
        create table other.chat_feedback (step_id int, feedback_score int, feedback_type int);
    """)
    migrate(empty)
    assert columns(empty, "public.rlhf_training_runs") == RUN_COLUMNS
    assert "step_id" in columns(empty, "public.chat_feedback")


def test_the_clock_does_not_depend_on_the_sessions_zone(admin):
    for zone in ("UTC", "America/New_York"):
        admin.execute("select set_config('timezone', %s, false)", [zone])
        off = admin.execute("""
            insert into public.rlhf_training_runs (model_type, training_status) values ('reward', 'started')
            returning start_time - now(), created_at - now()
        """).fetchone()
        assert all(abs(one.total_seconds()) < 60 for one in off)


def test_a_table_without_row_level_security_gets_it_and_stays_usable(empty):
    local_baseline(empty)
    empty.execute('drop policy "People keep their own feedback" on chat_feedback')
    empty.execute("alter table chat_feedback disable row level security")
    migrate(empty)
    assert empty.execute("select relrowsecurity from pg_class where oid = 'chat_feedback'::regclass").fetchone()[0]
    user = person(empty)
    talk = chat(empty, user)
    empty.execute("set local role authenticated")
    empty.execute("select set_config('request.jwt.claim.sub', %s, true)", [str(user)])
    empty.execute("insert into chat_feedback (user_id, chat_id) values (%s, %s)", [user, talk])
    assert empty.execute("select count(*) from chat_feedback").fetchone()[0] == 1


def test_an_edited_applied_file_is_refused(admin, tmp_path):
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    edited = folder / FILES[1].name
    edited.write_bytes(edited.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate(admin, folder) == []  # line ends are git's business
    edited.write_text(edited.read_text() + "-- changed\n")
    with pytest.raises(RlhfError, match=f"{edited.name} was edited after it was applied"):
        migrate(admin, folder)


def test_a_file_that_fails_leaves_nothing_and_those_before_it_stay(empty, tmp_path):
    (tmp_path / "0001_good.sql").write_text("create table one (id int)")
    (tmp_path / "0002_bad.sql").write_text("create table two (id int); select * from nowhere")
    (tmp_path / "0003_never.sql").write_text("create table three (id int)")
    with pytest.raises(RlhfError, match=r'0002_bad\.sql was not applied: relation "nowhere"'):
        migrate(empty, tmp_path)
    assert empty.execute("select to_regclass('one') is null, to_regclass('two'), to_regclass('three')").fetchone() == (
        False,
        None,
        None,
    )
    (tmp_path / "0002_bad.sql").write_text("create table two (id int)")
    assert migrate(empty, tmp_path) == ["0002_bad.sql", "0003_never.sql"]


def test_a_database_that_is_not_the_assistants_is_refused(empty):
    with pytest.raises(RlhfError, match=r"lack public\.users\.id, .*is this the assistant's database"):
        migrate(empty)
    local_baseline(empty)
    empty.execute("alter table public.chat_feedback rename column message_id to answer")
    empty.commit()
    with pytest.raises(RlhfError, match=r"lack public\.chat_feedback\.message_id;"):
        migrate(empty)
    empty.execute("alter table public.chat_feedback rename column answer to message_id")
    empty.execute("drop schema auth cascade")
    empty.commit()
    with pytest.raises(RlhfError, match=r"auth\.uid\(\) .* is missing"):
        migrate(empty)


def test_the_baseline_never_touches_a_supabase(empty):
    empty.execute("create role supabase_admin")
    empty.commit()
    try:
        with pytest.raises(RlhfError, match="this is a Supabase"):
            local_baseline(empty)
        assert empty.execute("select to_regclass('public.users')").fetchone() == (None,)
    finally:
        empty.rollback()
        empty.execute("drop role supabase_admin")
        empty.commit()


def test_a_supabase_owner_who_is_no_superuser_can_migrate(fresh_home):
    """As Supabase's `postgres`: may create roles, passes by row-level security. Roles need a server of their own."""
    embedded_postgres.start(fresh_home)
    with psycopg.connect(embedded_postgres.url(fresh_home, "app")) as superuser:
        local_baseline(superuser)
        superuser.execute("create role owner login createrole createdb bypassrls")
        superuser.execute("alter database app owner to owner; alter schema public owner to owner")
        superuser.execute("grant usage on schema auth to owner")
        for table in ("users", "chats", "messages", "chat_feedback"):
            superuser.execute(f"alter table public.{table} owner to owner")
    with psycopg.connect(embedded_postgres.url(fresh_home, "app", "owner")) as owner:
        assert migrate(owner) == [file.name for file in FILES]
        assert migrate(owner) == []
    with psycopg.connect(embedded_postgres.url(fresh_home, "app", "rlhf_pipeline")) as pipeline:
        assert pipeline.execute("select count(*) from rlhf.feedback").fetchone()[0] == 0
