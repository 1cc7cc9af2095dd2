"""Small conversations for the tests of the database: each function inserts one row and returns its id."""

from typing import Any
from uuid import UUID

import psycopg


def insert(connection: psycopg.Connection, table: str, **values: Any) -> UUID:
    """Insert one row into a table of public and return its id."""
    columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    statement = f"insert into public.{table} ({columns}) values ({marks}) returning id"  # noqa: S608
    return connection.execute(statement, list(values.values())).fetchone()[0]


def person(connection: psycopg.Connection, **values: Any) -> UUID:
    return insert(connection, "users", **{"email": "person@example.org", **values})


def chat(connection: psycopg.Connection, user_id: UUID, query: str | None = "what is a carbon tax?") -> UUID:
    return insert(connection, "chats", user_id=user_id, query=query)


def turn(connection: psycopg.Connection, chat_id: UUID, role: str, content: str, minute: int = 0) -> UUID:
    """A message, `minute` minutes into the conversation."""
    moment = f"2026-03-01 12:{minute:02}+00"
    return insert(connection, "messages", chat_id=chat_id, role=role, content=content, created_at=moment)


def step(connection: psycopg.Connection, chat_id: UUID, content: str, order: int, **values: Any) -> UUID:
    return insert(connection, "reasoning_steps", chat_id=chat_id, step_content=content, step_order=order, **values)


def vote(connection: psycopg.Connection, user_id: UUID | None, **values: Any) -> UUID:
    return insert(connection, "chat_feedback", user_id=user_id, **{"feedback": "positive", **values})
