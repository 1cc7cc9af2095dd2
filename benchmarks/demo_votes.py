"""The demo's votes as the pipeline's own dataset, made from the shipped files without a database."""

import json
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pandas as pd

from rlhf_assets.demo.feedback import WEEKS
from rlhf_assets.demo.load import demo_tables
from rlhf_assets.feedback.clean import clean_week, weeks_with_lookback
from rlhf_assets.feedback.propensity import CELL, doublings, inverse_propensity
from rlhf_assets.feedback.read import RAW_SCHEMA
from rlhf_assets.feedback.settings import CleaningSettings, SplitSettings
from rlhf_assets.feedback.split import Dataset, build_dataset
from rlhf_assets.feedback.weeks import bounds, earlier, week_of, weeks_between

WEEK_HOURS = 7 * 24
FIRST = "2026-01-04"  # the demo's weeks end with the last closed one; what is on which side does not depend on it


def demo_dataset() -> Dataset:
    """The rows that `make demo` trains and tests on, by side (ten seconds)."""
    raw = raw_votes()
    weeks = weeks_between(FIRST, earlier(FIRST, 1 - WEEKS))
    by_week = dict(iter(raw.groupby(raw["created_at"].map(week_of))))
    cleaned = [
        clean_week(rows, lookback, CleaningSettings()).clean
        for _, rows, lookback in weeks_with_lookback(weeks, FIRST, lambda week: by_week[week])
    ]
    votes = pd.concat(cleaned, ignore_index=True)
    votes["inverse_propensity"] = inverse_propensity(votes, demo_coverage())
    return build_dataset(votes, SplitSettings(), weeks[-1])


def demo_coverage() -> pd.DataFrame:
    """How much of what was said in each week was rated in it, as the view `rlhf.coverage` counts it, by week."""
    tables = {name: pd.DataFrame(rows) for name, rows in demo_tables()}
    messages, steps, votes = tables["messages"], tables["reasoning_steps"], tables["chat_feedback"]
    answers = messages[messages["role"] == "assistant"].assign(kind="message")
    said = pd.concat([answers, steps.rename(columns={"step_content": "content"}).assign(kind="step")])
    asker = tables["chats"].set_index("id")["user_id"]
    segment = tables["users"].set_index("id")["segment"]
    rating = votes[votes["feedback"].notna() | votes["feedback_score"].notna()]
    rated = set(zip(rating["step_id"].fillna(rating["message_id"]), rating["created_at"] // WEEK_HOURS, strict=True))
    week = said["created_at"] // WEEK_HOURS
    counted = said.assign(
        segment=said["chat_id"].map(asker).map(segment),
        doublings=doublings(said["content"]),
        week=[earlier(FIRST, -int(number)) for number in week],
        rated=[one in rated for one in zip(said["id"], week, strict=True)],
    )
    cells = counted.groupby(["week", *CELL])["rated"].agg(served="size", rated="sum")
    return cells.reset_index()


def raw_votes() -> pd.DataFrame:
    """All votes with their conversation, as an extraction reads them; columns of RAW_SCHEMA."""
    tables = {name: {row["id"]: row for row in rows} for name, rows in demo_tables()}
    turns, steps = defaultdict(list), defaultdict(list)
    for message in tables["messages"].values():
        turns[message["chat_id"]].append(message)
    for step in tables["reasoning_steps"].values():
        steps[step["message_id"]].append(step)
    votes = [
        with_conversation(vote, tables, turns, steps) | {"vote_id": str(vote["id"])}
        for vote in tables["chat_feedback"].values()
    ]
    return pd.DataFrame(votes).reindex(columns=RAW_SCHEMA.names)


def with_conversation(
    vote: dict[str, Any], tables: dict[str, dict], turns: dict[Any, list], steps: dict[Any, list]
) -> dict[str, Any]:
    """One vote with what the view `rlhf.feedback` says of its target."""
    start = bounds(FIRST)[0]
    step = tables["reasoning_steps"].get(vote["step_id"])
    message = tables["messages"].get(step["message_id"] if step else vote["message_id"])
    row = {
        "created_at": start + timedelta(hours=vote["created_at"]),
        "user_id": str(vote["user_id"]),
        "segment": tables["users"][vote["user_id"]]["segment"],
        "kind": "step" if step else "message",
        "feedback": vote["feedback"],
        "feedback_score": vote["feedback_score"],
        "context": "[]",
        "steps_before": "[]",
    }
    if message is None:
        return row
    chat = tables["chats"][message["chat_id"]]
    before = [turn for turn in turns[chat["id"]] if turn["created_at"] < message["created_at"]]
    earlier_steps = [
        one["step_content"] for one in steps[message["id"]] if step and one["step_order"] < step["step_order"]
    ]
    return row | {
        "chat_id": str(chat["id"]),
        "message_id": str(message["id"]),
        "step_id": str(step["id"]) if step else None,
        "message_role": message["role"],
        "query": before[-1]["content"] if before else chat["query"],
        "context": json.dumps([{"role": turn["role"], "content": turn["content"]} for turn in before[:-1]]),
        "system_prompt": chat["system_prompt"],
        "response": step["step_content"] if step else message["content"],
        "steps_before": json.dumps(earlier_steps),
        "step_order": step["step_order"] if step else None,
        "model_version": message["model_version"],
        "message_created_at": start + timedelta(hours=message["created_at"]),
    }
