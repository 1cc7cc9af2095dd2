"""Ratings from a file of JSON lines into the assistant's own tables, as if they had been given there.

A line is one rated answer: `query`, `response`, `feedback` (positive, negative, null), `feedback_score` (1 to 5, null)
and optionally `context` (earlier turns), `user_id`, `segment`, `created_at` (of the rating), `model_version`, `steps`
and `step_feedback` ([{step, feedback, feedback_score}], steps counted from 0; without `steps` the response is split).
Every id is made from the line's content, so a file imported twice changes nothing.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

import psycopg
from psycopg import sql
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlhf_assets.feedback.steps import split_steps
from rlhf_assets.storage.database import MENDABLE

NAMESPACE = UUID("6f2c6f0e-0b5e-5a53-9d0f-4f2f0f4e8a11")  # ours; another one would import everything a second time
YEARS = range(1970, 3000)  # in which a rating may have been given; near the ends of the calendar time zones overflow

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # PostgreSQL stores no NUL
Score = Annotated[int, Field(ge=1, le=5)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Turn(Strict):
    role: Literal["system", "user", "assistant"]
    content: Text


class Rating(Strict):
    feedback: Literal["positive", "negative"] | None = None
    feedback_score: Score | None = None


class StepRating(Rating):
    step: Annotated[int, Field(ge=0)]


class Line(Rating):
    query: Text
    response: Text
    context: list[Turn] = []
    user_id: Text | int | None = None
    segment: Text | None = None
    created_at: datetime | None = None
    model_version: Text | None = None
    steps: list[Text] | None = None
    step_feedback: list[StepRating] = []

    def all_steps(self) -> list[str]:
        """The steps as given, else the response's own where a rating refers to one."""
        if self.steps is not None or not self.step_feedback:
            return self.steps or []
        return [step.text for step in split_steps(self.response)]


@dataclass
class ImportReport:
    """Lines read, ratings that are new, ratings that were there already, and (line number, what is wrong with it)."""

    read: int = 0
    imported_ratings: int = 0
    unchanged: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)


def import_lines(connection: psycopg.Connection, lines: Iterable[str]) -> ImportReport:
    """Write every good line and report the others, in one transaction; the connection is the admin's.

    A row that the database refuses, for example for a column of its own that must not be null, costs its line only.
    """
    report = ImportReport()
    with connection.transaction():
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            report.read += 1
            try:
                line, key = parse(text)
                with connection.transaction():  # a savepoint
                    new, all_ratings = write(connection, line, key)
            except ValueError as error:
                report.problems.append((number, str(error)))
            except MENDABLE:  # no line's fault
                raise
            except psycopg.DatabaseError as error:
                report.problems.append((number, f"the database refuses the row: {error.diag.message_primary}"))
            else:
                report.imported_ratings += new
                report.unchanged += all_ratings - new
    return report


def parse(text: str) -> tuple[Line, UUID]:
    """The line and the id of its content, which spacing and the order of the fields do not change.

    Raises ValueError, in a few words, for what the format does not allow.
    """
    try:
        line = Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None
    if line.feedback is None and line.feedback_score is None and not line.step_feedback:
        raise ValueError("no rating: give feedback, feedback_score or step_feedback")
    if line.created_at and line.created_at.year not in YEARS:
        raise ValueError(f"created_at: no rating is of the year {line.created_at.year}")
    steps = len(line.all_steps())
    for rating in line.step_feedback:
        if rating.step >= steps:
            raise ValueError(f"step_feedback: there is no step {rating.step}, the answer has {steps} (counted from 0)")
        if rating.feedback is None and rating.feedback_score is None:
            raise ValueError(f"step_feedback: no rating of step {rating.step}")
    return line, uuid5(NAMESPACE, json.dumps(json.loads(text), sort_keys=True))


def write(connection: psycopg.Connection, line: Line, key: UUID) -> tuple[int, int]:
    """Insert what is not there yet of one line; returns how many ratings are new and how many it has."""

    def own(part: str) -> UUID:
        return uuid5(key, part)

    given = line.created_at or datetime.now(UTC)
    given = given if given.tzinfo else given.replace(tzinfo=UTC)
    user, chat, answer = user_of(line, key), own("chat"), own("answer")
    insert(connection, "users", id=user, segment=line.segment)
    insert(connection, "chats", id=chat, user_id=user, query=line.query, created_at=given)

    turns = [*((turn.role, turn.content) for turn in line.context), ("user", line.query)]
    for i, (role, content) in enumerate(turns):  # a second apart, so that their order is plain
        said = given - timedelta(seconds=len(turns) - i + 1)
        insert(connection, "messages", id=own(f"turn {i}"), chat_id=chat, role=role, content=content, created_at=said)
    answered = given - timedelta(seconds=1)
    insert(
        connection,
        "messages",
        id=answer,
        chat_id=chat,
        role="assistant",
        content=line.response,
        model_version=line.model_version,
        created_at=answered,
    )
    for i, text in enumerate(line.all_steps()):
        insert(
            connection,
            "reasoning_steps",
            id=own(f"step {i}"),
            chat_id=chat,
            message_id=answer,
            step_content=text,
            step_order=i,
            created_at=answered,
        )

    votes: list[tuple[str, Rating, dict[str, UUID]]] = []
    if line.feedback is not None or line.feedback_score is not None:
        votes.append(("vote", line, {"message_id": answer}))
    for i, rating in enumerate(line.step_feedback):
        votes.append((f"step vote {i}", rating, {"step_id": own(f"step {rating.step}")}))
    new = sum(
        insert(
            connection,
            "chat_feedback",
            id=own(name),
            user_id=user,
            chat_id=chat,
            feedback=rating.feedback,
            feedback_score=rating.feedback_score,
            created_at=given,
            **target,
        )
        for name, rating, target in votes
    )
    return new, len(votes)


def user_of(line: Line, key: UUID) -> UUID:
    """The rater: a UUID as it is, any other name made into one, a made-up person where there is none."""
    if line.user_id is None:
        return uuid5(key, "user")
    try:
        return UUID(str(line.user_id))
    except ValueError:
        return uuid5(NAMESPACE, f"user {line.user_id}")


def insert(connection: psycopg.Connection, table: str, **values: Any) -> int:
    """Insert a row unless its id is there; 1 when it was new. Nulls are left out: a table may lack their columns."""
    filled = {name: value for name, value in values.items() if value is not None}
    statement = sql.SQL("insert into public.{} ({}) values ({}) on conflict (id) do nothing").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, filled)),
        sql.SQL(", ").join([sql.Placeholder()] * len(filled)),
    )
    return connection.execute(statement, list(filled.values())).rowcount
