"""Votes of any number and size for benchmarks, with the shapes of real ones and dirt for every cleaning rule."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_assets.feedback.read import RAW_SCHEMA
from rlhf_assets.feedback.weeks import bounds

PEOPLE = 30_000  # over all weeks; a few vote a lot, most a little
WORDS = 3_000
SENTENCES = 20_000
STEP_SHARE, CONTEXT_SHARE, SCORE_SHARE, SERVED_BEFORE = 0.25, 0.3, 0.5, 0.1
DIRT: dict[float, dict[str, Any]] = {  # share of the votes, what is wrong with them
    0.003: {"message_id": None, "step_id": None, "message_role": None, "query": None, "response": None},
    0.0031: {"message_role": "user"},
    0.002: {"response": " "},
    0.01: {"response": "Ok."},
    0.0005: {"response": "word " * 5_000},
    0.001: {"response": "A terminal's \x1b[31mred\x1b[0m word"},
    0.0007: {"consent": "false"},
    0.0006: {"context": "a conversation that somebody's view writes otherwise"},
    0.011: {"feedback": None, "feedback_score": None},
    0.0101: {"feedback": "positive", "feedback_score": 1.0},
    0.0012: {"feedback": "meh"},
    0.0051: {"response": "Write to ann.lee{n}@example.org or call (617) 253-{n}, they know about grants in 2026."},
    0.05: {"response": "In 2024-11-15 it was {n},200,000 and then 2,{n},000 tonnes (12.5 %), or $ {n},617,253 in all."},
}


def write_votes(folder: Path, weeks: list[str], rows: int, seed: int) -> None:
    """`<kind>-<week>.parquet` for both kinds of all weeks, as an extraction writes them."""
    draw = np.random.default_rng(seed)
    words = np.array(["".join(draw.choice(list("etaoinshrdlu"), size)) for size in draw.integers(2, 10, WORDS)])
    sentences = [
        " ".join(words[draw.integers(0, WORDS, size)]).capitalize() + (" – “é”." if size == 8 else ".")
        for size in draw.integers(8, 18, SENTENCES)
    ]
    activity = draw.pareto(1.2, PEOPLE) + 0.05
    for number, week in enumerate(weeks):
        count = rows // len(weeks) + (number < rows % len(weeks))
        votes = pd.DataFrame(one_week(draw, sentences, activity / activity.sum(), week, count))
        for kind, own in votes.groupby("kind"):
            own = own.sort_values(["created_at", "vote_id"])
            table = pa.Table.from_pandas(own, RAW_SCHEMA, preserve_index=False)
            pq.write_table(table, folder / f"{kind}-{week}.parquet", compression="zstd")


def one_week(
    draw: np.random.Generator, sentences: list[str], activity: np.ndarray, week: str, count: int
) -> list[dict[str, Any]]:
    start = bounds(week)[0]
    people = draw.choice(len(activity), count, p=activity)
    parts = draw.integers(0, len(sentences), (count, 6))
    chance = draw.random((count, 5))
    minutes = draw.uniform(0, 7 * 24 * 60 - 1, count)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        at = start + timedelta(minutes=float(minutes[i]))
        step, scored = chance[i, 0] < STEP_SHARE, chance[i, 1] < SCORE_SHARE
        served = parts[i] % 50 if chance[i, 2] < SERVED_BEFORE else parts[i]
        said = [sentences[part] for part in served]
        points = float(1 + parts[i, 0] % 5) if scored else None
        turns = [{"role": "user", "content": said[4]}, {"role": "assistant", "content": said[5] + " " + said[0]}]
        rows.append(
            {
                "vote_id": identity(draw),
                "created_at": at,
                "user_id": str(UUID(int=int(people[i]))),
                "segment": ("student", "worker", "farmer", None)[people[i] % 4],
                "kind": "step" if step else "message",
                "chat_id": identity(draw),
                "message_id": identity(draw),
                "step_id": identity(draw) if step else None,
                "message_role": "assistant",
                "query": said[5][:-1] + "?",
                "context": json.dumps(turns) if chance[i, 3] < CONTEXT_SHARE else "[]",
                "system_prompt": "You advise people on work and money in the climate economy.",
                "response": said[0] if step else " ".join(said[:5]),
                "steps_before": json.dumps(said[1:3]) if step else "[]",
                "step_order": 2 if step else None,
                "feedback": "positive" if (points or parts[i, 1] % 5) > 2 else "negative",
                "feedback_score": points,
                "model_version": "v1",
                "message_created_at": at - timedelta(minutes=2),
                "updated_at": None,
                "consent": None,
            }
        )
    add_dirt(draw, rows, start)
    return rows


def add_dirt(draw: np.random.Generator, rows: list[dict[str, Any]], start: Any) -> None:
    """Overwrite some of the votes; how many there are does not change."""
    for share, wrong in DIRT.items():
        for i in draw.integers(0, len(rows), int(share * len(rows))):
            n = draw.integers(1000, 9999)
            rows[i].update({name: v.format(n=n) if name == "response" and v else v for name, v in wrong.items()})
    for i in draw.integers(1, len(rows), len(rows) // 50):  # copies
        rows[i] = rows[i - 1] | {"vote_id": identity(draw)}
    for i in draw.integers(0, len(rows), len(rows) // 1000):  # a wrong clock
        rows[i]["message_created_at"] = rows[i]["created_at"] + timedelta(days=3)
    noon = start + timedelta(days=3, hours=12)
    for i in range(60):  # a person who clicks on one button, a script, a brigade
        rows[i].update(user_id=identity(draw) if i > 40 else "clicker", feedback="positive", feedback_score=None)
    for i in range(100, 115):
        old = {"message_created_at": noon - timedelta(hours=1)}
        rows[i].update(user_id=f"script {start}", created_at=noon + timedelta(seconds=i / 10), **old)
    for i in range(200, 215):
        same = {"query": "Who?", "response": "Nobody knows for sure.", "feedback": "negative", "feedback_score": 1.0}
        fresh = {"user_id": identity(draw), "message_created_at": noon - timedelta(hours=1)}
        rows[i].update(created_at=noon + timedelta(minutes=i / 10), **same, **fresh)


def identity(draw: np.random.Generator) -> str:
    return str(UUID(bytes=draw.bytes(16)))
