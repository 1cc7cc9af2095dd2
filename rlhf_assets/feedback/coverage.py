"""How much of what the assistant said was rated: the view `rlhf.coverage`, which holds numbers alone."""

import psycopg
import pyarrow as pa

COVERAGE_SCHEMA = pa.schema(
    {"kind": pa.string(), "segment": pa.string(), "doublings": pa.int64(), "served": pa.int64(), "rated": pa.int64()}
)


def read_coverage(connection: psycopg.Connection, kind: str, week: str) -> pa.Table:
    """The view's rows of that week and kind ("message", "step"); its own file says what they mean."""
    query = (
        "select kind, segment, doublings, served, rated from rlhf.coverage "
        "where week = %s and kind = %s order by segment, doublings"
    )
    with connection.transaction():
        rows = connection.execute(query, [week, kind]).fetchall()
    return pa.Table.from_pylist([dict(zip(COVERAGE_SCHEMA.names, row, strict=True)) for row in rows], COVERAGE_SCHEMA)
