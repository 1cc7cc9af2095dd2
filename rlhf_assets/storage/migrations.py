"""Applies the numbered SQL files of `migrations/`, and on a server of our own what a Supabase brings by itself."""

import hashlib
from pathlib import Path

import psycopg

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.database import MENDABLE

MIGRATIONS = Path(__file__).parents[2] / "migrations"
BASELINE = MIGRATIONS / "local" / "baseline.sql"
LOCK = 7_215_640_311  # any number that is ours: one migration at a time on a database

BOOKKEEPING = """
create schema if not exists rlhf;
create table if not exists rlhf.migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""


def migrate(connection: psycopg.Connection, folder: Path = MIGRATIONS) -> list[str]:
    """Apply every file not applied yet, by number, each in a transaction of its own; returns their names.

    Raises RlhfError when an applied file was edited, or when one fails, which leaves the database as it was before it.
    """
    applied = []
    for file in sorted(folder.glob("[0-9]*.sql")):
        sql = file.read_text(encoding="utf-8")
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        connection.commit()  # so that the block below is a transaction, not a savepoint in the caller's
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
            connection.execute(BOOKKEEPING)
            before = connection.execute("select sha256 from rlhf.migrations where name = %s", [file.name]).fetchone()
            if before is None:
                run(connection, sql, file.name)
                connection.execute("insert into rlhf.migrations (name, sha256) values (%s, %s)", [file.name, checksum])
                applied.append(file.name)
            elif before[0] != checksum:
                raise RlhfError(
                    f"migration {file.name} was edited after it was applied; put the old text back and write the "
                    "change into a new file with the next number"
                )
    return applied


def local_baseline(connection: psycopg.Connection) -> None:
    """Make the assistant's tables, Supabase's roles and its `auth.uid()`; idempotent.

    Raises RlhfError on a real Supabase, which has its own and must not be touched.
    """
    connection.commit()
    with connection.transaction():
        run(connection, BASELINE.read_text(encoding="utf-8"), BASELINE.name)


def run(connection: psycopg.Connection, sql: str, name: str) -> None:
    """Execute a whole file; what it refuses itself (`raise exception`) or lacks becomes an RlhfError."""
    try:
        connection.execute(sql.encode())
    except (psycopg.errors.RaiseException, *MENDABLE) as error:
        raise RlhfError(f"{name} was not applied: {error.diag.message_primary or error}") from error
