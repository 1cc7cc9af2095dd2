"""Write the shipped demo feedback: `python -m rlhf_assets.demo.feedback` (seconds; needs the sampled answers).

One JSON object a line, {"table": …, columns…}, in the order in which the tables refer to each other. A row is known by
its place in its table, from 0; the loader makes ids of the places. Times are hours since the start of the first of
twelve weeks; the loader adds the date on which that week began.
"""

import random
from pathlib import Path

from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.lines import read_lines, write_lines
from rlhf_assets.demo.taste import step_taste, taste
from rlhf_assets.demo.users import MESSAGE_SCALE, STEP_SCALE, User, as_score, population
from rlhf_assets.feedback.steps import split_steps

FEEDBACK = Path(__file__).parent / "data" / "feedback.jsonl.gz"
WEEKS = 12
HOURS = WEEKS * 7 * 24
SERVINGS = (3, 4, 5, 6)  # one answer text may have been served to several people, each in a chat of their own
SERVING_WEIGHTS = (0.25, 0.25, 0.25, 0.25)
CHANGES_MIND = 0.06
SYSTEM_PROMPT = "You advise people on work and money in the climate economy. Answer in a few short numbered steps."
# The dirt that the schema lets through, in rows.
NO_RATING, NO_TARGET, OWN_MESSAGE, TINY, CONTRADICTIONS, COPIES, CLICKS = 40, 25, 30, 30, 35, 60, 200
TINY_ANSWERS = ("", " ", "Ok.", "Yes", "?", "1.")


class Writer:
    """Collects rows table by table."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.rows: dict[str, list[dict]] = {
            name: [] for name in ("users", "chats", "messages", "reasoning_steps", "chat_feedback")
        }

    def add(self, table: str, **columns: object) -> int:
        """Append a row; returns its place."""
        self.rows[table].append({"table": table, **columns})
        return len(self.rows[table]) - 1

    def serve(self, user: User, answer: dict, hour: float) -> tuple[int, list[int]]:
        """Store one chat with its turns; returns the places of the answer's message and of its steps."""
        chat = self.add(
            "chats", user_id=user.number, query=(answer["context"] or [{"content": answer["query"]}])[0]["content"],
            system_prompt=SYSTEM_PROMPT, created_at=hour,
        )  # fmt: skip
        turns = [*answer["context"], {"role": "user", "content": answer["query"]}]
        for number, turn in enumerate(turns):
            self.add("messages", chat_id=chat, created_at=hour + number / 60, model_version=None, **turn)
        asked = hour + len(turns) / 60
        message = self.add(
            "messages", chat_id=chat, role="assistant", content=answer["response"], model_version=answer["version"],
            created_at=asked,
        )  # fmt: skip
        steps = split_steps(answer["response"]) if answer["response"].startswith("1.") else []
        return message, [
            self.add("reasoning_steps", chat_id=chat, message_id=message, step_content=step.text, step_order=order,
                     created_at=asked)
            for order, step in enumerate(steps)
        ]  # fmt: skip

    def vote(self, user: User, hour: float, *, positive: bool | None, score: int | None, **target: int | None) -> dict:
        feedback = None if positive is None else "positive" if positive else "negative"
        self.add(
            "chat_feedback", user_id=user.number, feedback=feedback, feedback_score=score, created_at=hour,
            feedback_type="step" if target.get("step_id") is not None else "message",
            **{"chat_id": None, "message_id": None, "step_id": None, **target},
        )  # fmt: skip
        return self.rows["chat_feedback"][-1]

    def rate(self, user: User, opinion: float, hour: float, **target: int | None) -> None:
        """One honest rating, sometimes followed by a changed mind."""
        thumbs = self.draw.random() < user.segment.thumbs
        for attempt in range(2):
            felt = opinion + self.draw.gauss(0, user.segment.noise)
            score = None if thumbs else as_score(felt)
            # Whoever gives a score taps the thumb that goes with it; a three goes with either.
            self.vote(user, hour + attempt * self.draw.uniform(0.1, 200), positive=felt > 3, score=score, **target)
            if self.draw.random() >= CHANGES_MIND:
                break


def simulate(answers: list[dict], seed: int = 20) -> list[dict]:
    """All rows of the demo's tables, honest ratings and dirt."""
    writer, users = Writer(seed), population()
    for user in users:
        writer.add(
            "users", email=f"user{user.number}@example.org", role="user", segment=user.segment.name, created_at=-24.0
        )
    draw = writer.draw
    for answer in answers:
        for user in draw.sample(users, draw.choices(SERVINGS, weights=SERVING_WEIGHTS)[0]):
            hour = draw.uniform(0, HOURS - 1)
            message, steps = writer.serve(user, answer, hour)
            if draw.random() < user.segment.rates_message:
                liked = user.opinion(taste(answer["query"], answer["response"]), MESSAGE_SCALE)
                writer.rate(user, liked, hour + 0.2, message_id=message)
            if draw.random() < user.segment.rates_steps:
                for step, identity in zip(split_steps(answer["response"]), steps, strict=False):
                    liked = user.opinion(step_taste(answer["query"], step.text), STEP_SCALE)
                    writer.rate(user, liked, hour + 0.3, step_id=identity)
    add_dirt(writer, users, answers)
    for row in writer.rows["chat_feedback"]:
        row["created_at"] = min(row["created_at"], HOURS - 0.01)
    return [row for rows in writer.rows.values() for row in rows]


def add_dirt(writer: Writer, users: list[User], answers: list[dict]) -> None:
    """Rows that the schema lets through and that cleaning must refuse."""
    draw = writer.draw
    honest = list(writer.rows["chat_feedback"])

    def served(response: str | None = None) -> tuple[User, int, float]:
        user, answer, hour = draw.choice(users), draw.choice(answers), draw.uniform(0, HOURS - 1)
        answer = answer if response is None else {**answer, "response": response}
        return user, writer.serve(user, answer, hour)[0], hour + 0.2

    for _ in range(NO_RATING):
        user, message, hour = served()
        writer.vote(user, hour, positive=None, score=None, message_id=message)
    for _ in range(NO_TARGET):
        writer.vote(draw.choice(users), draw.uniform(0, HOURS), positive=draw.random() < 0.5, score=draw.randint(1, 5))
    for _ in range(OWN_MESSAGE):
        user, _, hour = served()  # whose answer is the newest message, and the question the one before
        writer.vote(user, hour, positive=True, score=None, message_id=len(writer.rows["messages"]) - 2)
    for number in range(TINY):
        user, message, hour = served(TINY_ANSWERS[number % len(TINY_ANSWERS)])
        writer.vote(user, hour, positive=False, score=1, message_id=message)
    for _ in range(CONTRADICTIONS):
        user, message, hour = served()
        positive = draw.random() < 0.5
        writer.vote(user, hour, positive=positive, score=1 if positive else 5, message_id=message)
    for vote in draw.sample(honest, COPIES):
        writer.add("chat_feedback", **{k: v for k, v in vote.items() if k != "table"})
    clicker, start = users[0], draw.uniform(HOURS / 2, HOURS - 60)
    for click in range(CLICKS):
        message, _ = writer.serve(clicker, draw.choice(answers), start + click / 10)
        writer.vote(clicker, start + click / 10 + 0.05, positive=True, score=None, message_id=message)


if __name__ == "__main__":
    write_lines(FEEDBACK, simulate(list(read_lines(ANSWERS))))
