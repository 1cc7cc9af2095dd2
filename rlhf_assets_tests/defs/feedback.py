"""A few weeks of generated feedback in a real database, which tiny models can learn: kind words are rated well."""

import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from uuid import UUID

import psycopg

from rlhf_assets.feedback.weeks import bounds
from rlhf_assets_tests.reward.votes import KIND, UNKIND

TOPICS = (
    "solar", "wind", "heat", "pump", "battery", "grid", "carbon", "tax", "grant", "loan", "rebate", "training", "wage",
    "union", "permit", "hydrogen", "insulation", "retrofit", "charger", "tram", "bus", "bicycle", "forest", "soil",
    "compost", "recycling", "steel", "cement", "farm", "fishing", "port", "insurance", "mortgage",
)  # fmt: skip


def write_feedback(connection: psycopg.Connection, votes: Mapping[str, int], seed: int = 0) -> None:
    """So many ratings a week of answers by 40 people, one in four on a step; every rating is honest and plain."""
    draw = random.Random(seed)  # noqa: S311
    ids = drawn_ids(seed)
    people = [next(ids) for _ in range(40)]
    tables: dict[str, list[dict[str, object]]] = {name: [] for name in COLUMNS}
    tables["users"] = [{"id": person, "segment": draw.choice(("worker", "student"))} for person in people]
    for week, number in votes.items():
        for _ in range(number):
            add_vote(tables, draw, ids, draw.choice(people), bounds(week)[0] + timedelta(hours=draw.uniform(1, 160)))
    with connection.transaction():
        for name, columns in COLUMNS.items():
            with connection.cursor().copy(f"copy public.{name} ({', '.join(columns)}) from stdin") as copy:
                for row in tables[name]:
                    copy.write_row([row.get(column) for column in columns])


COLUMNS = {
    "users": ["id", "segment"],
    "chats": ["id", "user_id", "query", "created_at"],
    "messages": ["id", "chat_id", "role", "content", "created_at"],
    "reasoning_steps": ["id", "chat_id", "message_id", "step_content", "step_order", "created_at"],
    "chat_feedback": ["id", "user_id", "message_id", "step_id", "feedback", "feedback_score", "created_at"],
}


def drawn_ids(seed: int) -> Iterator[UUID]:
    """By the seed, since people are split into training and test by their ids."""
    draw = random.Random(f"ids {seed}")  # noqa: S311
    while True:
        yield UUID(int=draw.getrandbits(128), version=4)


def add_vote(
    tables: dict[str, list[dict[str, object]]],
    draw: random.Random,
    ids: Iterator[UUID],
    person: UUID,
    moment: object,
) -> None:
    """A chat of one question and one answer of a single step, and one person's rating of the answer or the step."""
    chat, message, step, question, rating = (next(ids) for _ in range(5))
    words = draw.randint(4, 9)
    kind = draw.randint(0, words)
    answer = " ".join(draw.sample([*draw.choices(KIND, k=kind), *draw.choices(UNKIND, k=words - kind)], words))
    score = round(4 * kind / words) + 1
    query = " ".join(draw.sample(TOPICS, 6)) + "?"
    rated: dict[str, object] = {"step_id": step} if draw.random() < 0.25 else {"message_id": message}
    made = {"created_at": moment}
    tables["chats"].append({"id": chat, "user_id": person, "query": query, **made})
    tables["messages"].append({"id": question, "chat_id": chat, "role": "user", "content": query, **made})
    later = {"created_at": moment + timedelta(minutes=1)}  # type: ignore[operator]
    tables["messages"].append({"id": message, "chat_id": chat, "role": "assistant", "content": answer, **later})
    tables["reasoning_steps"].append(
        {"id": step, "chat_id": chat, "message_id": message, "step_content": answer, "step_order": 0, **later}
    )
    thumb = {1: "negative", 2: "negative", 3: None, 4: "positive", 5: "positive"}[score]
    tables["chat_feedback"].append(
        {"id": rating, "user_id": person, "feedback": thumb, "feedback_score": score, **rated, **later}
    )
