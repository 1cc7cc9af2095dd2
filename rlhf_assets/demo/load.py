"""Load the shipped demo feedback into the assistant's tables, its dates moved to end with the last closed week."""

import datetime as dt
import os
from collections.abc import Iterator
from itertools import groupby
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from psycopg import sql

from rlhf_assets.demo.feedback import FEEDBACK, WEEKS
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.feedback.weeks import bounds, earlier, first_week, last_closed_week

DEMO = uuid5(NAMESPACE_URL, "rlhf-assets-demo")
REFERS_TO = {"user_id": "users", "chat_id": "chats", "message_id": "messages", "step_id": "reasoning_steps"}


def demo_weeks(connection: psycopg.Connection) -> tuple[str, str] | None:
    """First and last week of the demo feedback in this database, None when it was never loaded."""
    table = connection.execute("select to_regclass('rlhf.demo')").fetchone()
    row = connection.execute("select first_week from rlhf.demo").fetchone() if table and table[0] else None
    if row is None:
        return None
    first = row[0].isoformat()
    return first, earlier(first, -(WEEKS - 1))


def load_demo(connection: psycopg.Connection, now: dt.datetime | None = None) -> tuple[str, str]:
    """First and last week of the demo feedback; loads it first, in one transaction, where it is not there yet."""
    if loaded := demo_weeks(connection):
        return loaded
    last = last_closed_week(now)
    first = earlier(last, WEEKS - 1)
    start = bounds(first)[0]
    with connection.transaction():
        connection.execute("create table if not exists rlhf.demo (first_week date primary key)")
        for table, rows in demo_tables():
            columns = list(rows[0])
            statement = sql.SQL("copy public.{} ({}) from stdin").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            with connection.cursor().copy(statement) as copy:
                for row in rows:
                    row["created_at"] = start + dt.timedelta(hours=row["created_at"])
                    copy.write_row([row[name] for name in columns])
        connection.execute("insert into rlhf.demo values (%s)", (first,))
    return first, last


def first_week_with(connection: psycopg.Connection, demo: str) -> str:
    """RLHF_FIRST_WEEK where somebody voted between it and the demo's first week, else that; RlhfError as `first_week`.

    So a person's own older feedback stays in, and the setting of an earlier demo adds no empty weeks.
    """
    if "RLHF_FIRST_WEEK" not in os.environ:
        return demo
    question = "select exists (select from rlhf.feedback where created_at >= %s and created_at < %s)"
    [(older,)] = connection.execute(question, (bounds(first_week())[0], bounds(demo)[0])).fetchall()
    return first_week() if older else demo


def demo_tables() -> Iterator[tuple[str, list[dict]]]:
    """Each table's rows with their ids, in the order of the file."""
    for table, lines in groupby(read_lines(FEEDBACK), key=lambda line: line.pop("table")):
        rows = []
        for place, line in enumerate(lines):
            references = {name: _id(REFERS_TO[name], line[name]) for name in line.keys() & REFERS_TO.keys()}
            rows.append({"id": _id(table, place), **line, **references})
        yield table, rows


def _id(table: str, place: int | None) -> UUID | None:
    return None if place is None else uuid5(DEMO, f"{table} {place}")
