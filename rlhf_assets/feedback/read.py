"""Votes out of the database: the view `rlhf.feedback`, a week at a time, into Parquet in constant memory."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import bounds

FETCHED_ROWS = 500  # per round trip
BATCH_ROWS = 5_000  # per row group
BATCH_CHARACTERS = 16_000_000  # answers may be megabytes long

MOMENT = pa.timestamp("us", tz="UTC")
RAW_SCHEMA = pa.schema(
    {
        "vote_id": pa.string(),
        "created_at": MOMENT,
        "user_id": pa.string(),
        "segment": pa.string(),
        "kind": pa.string(),
        "chat_id": pa.string(),
        "message_id": pa.string(),
        "step_id": pa.string(),
        "message_role": pa.string(),
        "query": pa.string(),
        "context": pa.string(),
        "system_prompt": pa.string(),
        "response": pa.string(),
        "steps_before": pa.string(),
        "step_order": pa.int64(),
        "feedback": pa.string(),
        "feedback_score": pa.int64(),
        "model_version": pa.string(),
        "message_created_at": MOMENT,
    }
)


def selected(name: str, kind: pa.DataType) -> sql.Composable:
    """How one column is read: ids and JSON as text, moments only where a date of this calendar can hold them."""
    column = sql.Identifier(name)
    if kind == pa.string():
        return sql.SQL("{}::text").format(column)
    if kind == MOMENT:  # PostgreSQL knows infinity and the year 200000
        return sql.SQL("case when {0} between '0001-01-02' and '9999-12-30' then {0} end").format(column)
    return column


WEEK_QUERY = sql.SQL(
    "select {} from rlhf.feedback where kind = %(kind)s and created_at >= %(start)s and created_at < %(end)s "
    "order by created_at, vote_id"
).format(sql.SQL(", ").join(selected(field.name, field.type) for field in RAW_SCHEMA))


def write_week(connection: psycopg.Connection, kind: str, week: str, path: Path) -> int:
    """Write the week's votes on one kind ("message" or "step") as Parquet of RAW_SCHEMA and return how many there are.

    Rows come in order of (created_at, vote_id); only that week is read. A batch of rows is in memory at a time, and
    the file has its name only once it is whole.
    """
    start, end = bounds(week)
    beside = path.with_name(path.name + ".partial")
    with (
        connection.transaction(),
        connection.cursor(name="rlhf_week") as cursor,
        pq.ParquetWriter(beside, RAW_SCHEMA, compression="zstd") as writer,
    ):
        cursor.itersize = FETCHED_ROWS
        cursor.execute(WEEK_QUERY, {"kind": kind, "start": start, "end": end})
        written = sum(write_batch(writer, batch) for batch in batches(cursor))
    beside.rename(path)
    return written


def batches(rows: Iterable[tuple]) -> Iterable[list[tuple]]:
    """Rows in groups small enough to hold, by number and by text."""
    batch: list[tuple] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(len(value) for value in row if isinstance(value, str))
        if len(batch) == BATCH_ROWS or characters > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def write_batch(writer: pq.ParquetWriter, batch: list[tuple]) -> int:
    columns = zip(*batch, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, RAW_SCHEMA, strict=True)]
    writer.write_batch(pa.record_batch(arrays, schema=RAW_SCHEMA))
    return len(batch)


def rows_outside_weeks(connection: psycopg.Connection, first_week: str, now: datetime) -> dict[str, int]:
    """How many votes lie in no week: {no_date, before_first_week, future}; they are shown, never lost."""
    query = """
        select count(*) filter (where created_at is null),
               count(*) filter (where created_at < %(first)s),
               count(*) filter (where created_at > %(now)s)
        from rlhf.feedback
        where created_at is null or created_at < %(first)s or created_at > %(now)s
    """
    with connection.transaction():
        counts = connection.execute(query, {"first": bounds(first_week)[0], "now": now}).fetchone()
    return dict(zip(("no_date", "before_first_week", "future"), counts or (), strict=True))


def check_source(connection: psycopg.Connection) -> None:
    """Raises RlhfError when the view `rlhf.feedback` is missing, may not be read or lacks a column."""
    try:
        with connection.transaction():
            columns = connection.execute("select * from rlhf.feedback limit 0").description or []
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise RlhfError("the view rlhf.feedback is missing in this database; create it with `rlhf migrate`") from None
    except psycopg.errors.InsufficientPrivilege:
        raise RlhfError(
            "this database user may not read rlhf.feedback; use the role rlhf_pipeline in SUPABASE_DB_URL, "
            "or run `rlhf migrate` to grant it"
        ) from None
    missing = [name for name in RAW_SCHEMA.names if name not in {column.name for column in columns}]
    if missing:
        raise RlhfError(
            f"the view rlhf.feedback lacks {', '.join(missing)}; "
            "run `rlhf migrate`, or add them where you edited the view"
        )
