"""Votes out of the database: the view `rlhf.feedback`, a week at a time, into Parquet in constant memory.

PostgreSQL writes the rows as CSV (COPY), pyarrow reads them block by block; no row becomes a Python object. What passes
is hashed, so that a later reading can tell whether the week's source rows are still the same.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import sql
from pyarrow import csv

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.columns import RAW
from rlhf_assets.feedback.coverage import COVERAGE_SCHEMA
from rlhf_assets.feedback.source_hash import SourceHash
from rlhf_assets.feedback.weeks import bounds

BLOCK_BYTES = 1_000_000  # of CSV parsed and written at a time, as one row group; more where a single row has more

Line = bytes | bytearray | memoryview  # a row of CSV, as psycopg hands it over
MOMENT = pa.timestamp("us", tz="UTC")
TYPES = {str(kind): kind for kind in (pa.string(), pa.int64(), MOMENT)}
RAW_SCHEMA = pa.schema({name: TYPES[column.type] for name, column in RAW.items()})
ADDED_LATER = ("updated_at", "consent")  # weeks extracted by an earlier version lack them; missing means null


def selected(name: str, kind: pa.DataType) -> sql.Composable:
    """How one column is read: ids and JSON as text, moments only where a date of this calendar can hold them."""
    column = sql.Identifier(name)
    if kind == pa.string():
        return sql.SQL("{}::text").format(column)
    if kind == MOMENT:  # PostgreSQL knows infinity and the year 200000
        return sql.SQL("case when {0} between '0001-01-02' and '9999-12-30' then {0} end").format(column)
    return column


# here and not in the view, which operators edit
NOT_FORGOTTEN = sql.SQL("not exists (select from rlhf.forgotten where forgotten.user_id = feedback.user_id::text)")

WEEK_QUERY = sql.SQL(
    "select {} from rlhf.feedback left join rlhf.vote_details using (vote_id) "
    "where kind = %(kind)s and created_at >= %(start)s and created_at < %(end)s and {} "
    "order by created_at, feedback.vote_id"
).format(sql.SQL(", ").join(selected(column.name, column.type) for column in RAW_SCHEMA), NOT_FORGOTTEN)

COPY_WEEK = sql.SQL("copy ({}) to stdout (format csv)").format(WEEK_QUERY)

# whatever the role, the database or the environment say: the same row is the same text everywhere
PLAIN_TEXT = """
    select now(), set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true),
        set_config('client_encoding', 'UTF8', true)
"""


@dataclass(frozen=True)
class Extracted:
    """One reading of a week's source rows; two are equal when they saw the same.

    rows: how many. sha256: of what they say, in order (`SourceHash`). newest_updated_at: of the vote that was changed
    last; None where the assistant keeps no such date. read_at: when the reading began, by the database's clock.
    """

    rows: int
    sha256: str
    newest_updated_at: datetime | None
    read_at: datetime = field(compare=False)


def write_week(connection: psycopg.Connection, kind: str, week: str, path: Path) -> Extracted:
    """Write the week's votes on one kind ("message" or "step") as Parquet of RAW_SCHEMA.

    Rows come in order of (created_at, vote_id), without those of forgotten people; only that week is read. Two blocks
    of rows are in memory at a time, and the file has its name only once it is whole.
    """
    beside = path.with_name(path.name + ".partial")
    # hardly a text comes twice in a block: dictionaries would cost time and space
    with pq.ParquetWriter(beside, RAW_SCHEMA, compression="zstd", use_dictionary=False) as writer:
        extracted = read_week(connection, kind, week, writer.write_table)
    beside.rename(path)
    return extracted


def week_fingerprint(connection: psycopg.Connection, kind: str, week: str) -> Extracted:
    """What `write_week` would return now, without keeping any row."""
    return read_week(connection, kind, week, lambda table: None)


def read_week(connection: psycopg.Connection, kind: str, week: str, take: Callable[[pa.Table], None]) -> Extracted:
    """Read the week's rows and hand them to `take` in tables of RAW_SCHEMA.

    While PostgreSQL makes the next block, a thread works on the one before.
    """
    start, end = bounds(week)
    rows, digest, newest = 0, SourceHash(RAW_SCHEMA), None

    def work_on(lines: list[Line]) -> None:
        nonlocal rows, newest
        table = parsed(b"".join(lines))
        digest.update(table)
        rows += len(table)
        newest = max(filter(None, (newest, pc.max(table["updated_at"]).as_py())), default=None)
        take(table)

    with connection.transaction(), connection.cursor() as cursor, ThreadPoolExecutor(1) as worker:
        [(read_at, *_)] = cursor.execute(PLAIN_TEXT)
        with cursor.copy(COPY_WEEK, {"kind": kind, "start": start, "end": end}) as lines:
            working: Future[None] | None = None
            for block in blocks(lines):
                if working:
                    working.result()
                working = worker.submit(work_on, block)
            if working:
                working.result()
    return Extracted(rows, digest.hexdigest(), newest, read_at)


def blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Rows in groups small enough to hold; COPY sends each in a message of its own."""
    block: list[Line] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def parsed(block: bytes) -> pa.Table:
    """Whole CSV rows as COPY writes them: without quotes an empty field is null, else an empty text."""
    return csv.read_csv(
        pa.BufferReader(block),
        csv.ReadOptions(column_names=RAW_SCHEMA.names, block_size=len(block) + 1, use_threads=False),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=RAW_SCHEMA,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def rows_outside_weeks(connection: psycopg.Connection, first_week: str, now: datetime) -> dict[str, int]:
    """How many votes lie in no week: {no_date, before_first_week, future}; they are shown, never lost.

    Those of forgotten people are not counted.
    """
    query = sql.SQL("""
        select count(*) filter (where created_at is null),
               count(*) filter (where created_at < %(first)s),
               count(*) filter (where created_at > %(now)s)
        from rlhf.feedback
        where (created_at is null or created_at < %(first)s or created_at > %(now)s) and {}
    """).format(NOT_FORGOTTEN)
    with connection.transaction():
        counts = connection.execute(query, {"first": bounds(first_week)[0], "now": now}).fetchone()
    return dict(zip(("no_date", "before_first_week", "future"), counts or (), strict=True))


def check_source(connection: psycopg.Connection) -> None:
    """Raises RlhfError when what an extraction reads is missing, may not be read or lacks a column."""
    details = ["vote_id", *ADDED_LATER]
    wanted = {
        "the view rlhf.feedback": [name for name in RAW_SCHEMA.names if name not in details[1:]],
        "the view rlhf.vote_details": details,
        "the view rlhf.coverage": ["week", *COVERAGE_SCHEMA.names],
        "the table rlhf.forgotten": ["user_id"],
    }
    for name, needed in wanted.items():
        relation = name.split()[-1]
        query = sql.SQL("select * from {} limit 0").format(sql.Identifier(*relation.split(".")))
        try:
            with connection.transaction():
                columns = connection.execute(query).description or []
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise RlhfError(f"{name} is missing in this database; create it with `rlhf migrate`") from None
        except psycopg.errors.InsufficientPrivilege:
            raise RlhfError(
                f"this database user may not read {relation}; use the role rlhf_pipeline in SUPABASE_DB_URL, "
                "or run `rlhf migrate` to grant it"
            ) from None
        missing = [column for column in needed if column not in {found.name for found in columns}]
        if missing:
            raise RlhfError(
                f"{name} lacks {', '.join(missing)}; run `rlhf migrate`, or add them where you edited the view"
            )
