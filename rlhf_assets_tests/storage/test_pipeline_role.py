"""What rlhf_pipeline may do, asked of the catalog rather than table by table: a new table is covered by itself."""

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, ObjectNotInPrerequisiteState, WrongObjectType

from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.database import PIPELINE_ROLE

READ = ("rlhf.feedback", "rlhf.vote_details", "rlhf.activity", "rlhf.coverage", "rlhf.forgotten")
WRITTEN = "public.rlhf_training_runs"
RECEIPTS = "rlhf.recordings"
ON_RELATIONS = {
    *((name, "select") for name in READ),
    *((WRITTEN, right) for right in ("select", "insert", "update")),
    *((RECEIPTS, right) for right in ("select", "insert")),
}
MAY = {  # beyond what PostgreSQL lets every role do
    ("schema rlhf", "usage"),
    ("routine rlhf.moment(text)", "execute"),
    *((f"{kind} {name}", right) for name, right in ON_RELATIONS for kind in ("relation", "columns of")),
}
RELATIONS = "(select oid from pg_class where relkind in ('r', 'v', 'm', 'f', 'p') offset 0)"  # filtered before asked
SEQUENCES = "(select oid from pg_class where relkind = 'S' offset 0)"
HERE = "(select oid from pg_database where datname = current_database())"
KINDS = [  # what there is, how it is written, the function that knows who may do what with it, and what can be done
    ("relation", RELATIONS, "oid::regclass", "table", "select insert update delete truncate references trigger"),
    ("columns of", RELATIONS, "oid::regclass", "any_column", "select insert update references"),
    (
        "sequence",
        SEQUENCES,
        "oid::regclass",
        "sequence",
        "select update usage",
    ),
    ("routine", "pg_proc", "oid::regprocedure", "function", "execute"),
    ("schema", "pg_namespace", "oid::regnamespace", "schema", "usage create"),
    ("language", "pg_language", "lanname", "language", "usage"),
    ("tablespace", "pg_tablespace", "spcname", "tablespace", "create"),
    (
        "database",
        HERE,
        "'this'",
        "database",
        "connect temporary create",
    ),
]


def rights(admin: psycopg.Connection, role: str) -> set[tuple[str, str]]:
    """Everything in this database that the role has a right to, with the right."""
    admin.execute("set search_path = ''")  # so that names come with their schema
    found = set()
    for kind, there, written, asked, every in KINDS:
        for right in every.split():
            may = f"select {written}::text from {there} as one where has_{asked}_privilege(%s, oid, '{right}')"  # noqa: S608
            found |= {(f"{kind} {name}", right) for (name,) in admin.execute(may, [role])}
    return found


def newcomers_rights(admin: psycopg.Connection) -> set[tuple[str, str]]:
    """Those of a role that nobody has granted anything."""
    with admin.transaction(force_rollback=True):
        admin.execute("create role newcomer")
        return rights(admin, "newcomer")


def ours(right: tuple[str, str]) -> bool:
    """Whether a right is to something that did not come with PostgreSQL, whose names have no schema before them."""
    name = right[0].partition("(")[0].rpartition(" ")[2]
    return "." in name and not name.startswith(("information_schema.", "pg_toast."))


def beyond(admin: psycopg.Connection) -> set[tuple[str, str]]:
    """What the pipeline may do and should not: granted to it, or to everybody."""
    everybodys = newcomers_rights(admin)
    unreachable = {("routine auth.uid()", "execute")}  # its schema is closed
    return (rights(admin, PIPELINE_ROLE) - everybodys - MAY) | {
        right for right in everybodys if ours(right)
    } - unreachable


def test_the_pipeline_may_do_this_and_nothing_else(admin: psycopg.Connection) -> None:
    assert rights(admin, PIPELINE_ROLE) >= MAY
    assert beyond(admin) == set()
    assert ("schema auth", "usage") not in rights(admin, PIPELINE_ROLE)
    assert {right for right in newcomers_rights(admin) if right[0].startswith("schema ")} == {
        (f"schema {name}", "usage") for name in ("public", "pg_catalog", "information_schema")
    }


@pytest.mark.parametrize(
    "grant",
    [
        "grant select (email) on public.users to rlhf_pipeline",
        "grant delete on public.rlhf_training_runs to rlhf_pipeline",
        "grant select on public.messages to public",
        "grant insert on rlhf.forgotten to rlhf_pipeline",
        "create table rlhf.later (id int); grant all on rlhf.later to rlhf_pipeline",
        "create sequence rlhf.later; grant usage on sequence rlhf.later to rlhf_pipeline",
        "create function rlhf.all_messages() returns bigint language sql security definer"
        " return (select count(*) from public.messages)",  # everybody may run a function unless that is revoked
        "create view public.later as select * from public.messages; grant select on public.later to public",
        "grant create on schema public to rlhf_pipeline",
        "grant pg_read_all_data to rlhf_pipeline",
        "grant service_role to rlhf_pipeline",
    ],
)
def test_a_right_too_many_is_found(admin: psycopg.Connection, grant: str) -> None:
    with admin.transaction(force_rollback=True):
        admin.execute(grant)
        assert beyond(admin) | member_of(admin)


def member_of(admin: psycopg.Connection) -> set[tuple[str, str]]:
    found = admin.execute(
        "select roleid::regrole::text from pg_auth_members where member = to_regrole(%s)", [PIPELINE_ROLE]
    )
    return {("member of", name) for (name,) in found}


def test_the_pipeline_owns_nothing_and_is_nobody_else(admin: psycopg.Connection) -> None:
    assert member_of(admin) == set()
    owned = "select count(*) from pg_shdepend where refobjid = to_regrole(%s) and deptype = 'o'"
    assert admin.execute(owned, [PIPELINE_ROLE]).fetchone() == (0,)
    configured = "select rolconfig, rolvaliduntil from pg_roles where rolname = %s"
    assert admin.execute(configured, [PIPELINE_ROLE]).fetchone() == (None, None)


ACTS = {
    "select": "select * from {}",
    "insert": "insert into {} default values",
    "update": "update {} set {} = null",
    "delete": "delete from {}",
    "truncate": "truncate {}",
    "drop": "drop table {}",
    "alter": "alter table {} add column more int",
}


def test_each_act_on_each_relation_is_refused_unless_it_is_due(admin: psycopg.Connection, app_url: str) -> None:
    """The same by trying, so that it does not hang on what the catalog says of itself."""
    admin.execute("create table public.later (id int); create table rlhf.later (id int)")
    listed = admin.execute("""
        select oid::regclass::text,
            (select quote_ident(attname) from pg_attribute where attrelid = c.oid and attnum = 1)
        from pg_class c, set_config('search_path', '', false)
        where relkind in ('r', 'v', 'm', 'f', 'p')
            and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            and relnamespace::regnamespace::text not like 'pg_toast%'
    """).fetchall()
    assert {"public.later", "rlhf.later", *READ, WRITTEN} <= {name for name, _ in listed}
    refusals = (InsufficientPrivilege, ObjectNotInPrerequisiteState, WrongObjectType)
    with psycopg.connect(app_url, autocommit=True) as pipeline:
        for name, column in listed:
            for act, statement in ACTS.items():
                if (name, act) not in ON_RELATIONS:
                    with pytest.raises(refusals):
                        pipeline.execute(statement.format(name, column))
                elif act == "select":
                    pipeline.execute(statement.format(name))


def test_others_large_objects_and_sessions_are_closed(admin: psycopg.Connection, app_url: str) -> None:
    [(number,)] = admin.execute("select lo_from_bytea(0, 'somebody''s')").fetchall()
    with psycopg.connect(app_url, autocommit=True) as pipeline:
        for statement in (
            f"select lo_get({number})",
            f"select lo_put({number}, 0, 'x')",
            f"select lo_unlink({number})",
            "select * from pg_largeobject",
            "select * from pg_authid",
            f"select pg_terminate_backend({admin.info.backend_pid})",
            "set session authorization postgres",
            "select pg_ls_dir('.')",
            "select lo_import('/etc/passwd')",
            "copy public.rlhf_training_runs to '/tmp/x'",
        ):
            with pytest.raises(InsufficientPrivilege):
                pipeline.execute(statement)
        [(seen,)] = pipeline.execute(
            "select query from pg_stat_activity where pid = %s", [admin.info.backend_pid]
        ).fetchall()
        assert seen == "<insufficient privilege>"


def test_of_the_embedded_server_the_pipeline_sees_one_database(server, migrated: str) -> None:
    def of(database: str) -> str:
        return embedded_postgres.url(server, database, PIPELINE_ROLE)

    for database in ("dagster", "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(of(database))
    with psycopg.connect(embedded_postgres.url(server, "postgres")) as admin:
        question = "select datname, has_database_privilege(%s, oid, 'temporary') from pg_database where datname = %s"
        assert admin.execute(question, [PIPELINE_ROLE, migrated]).fetchall() == [(migrated, False)]
