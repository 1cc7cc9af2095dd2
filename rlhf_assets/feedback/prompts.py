"""What the policy practises and is compared on: every distinct state of a chat that people rated an answer to."""

import hashlib
import json

import pandas as pd

from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import CHAT, chat_sides

STATE = [*CHAT, "system_prompt"]


def policy_prompts(clean: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """One row per distinct (query, context, system_prompt), first seen first: prompt_id, these three, side, segment.

    Sides are those of the reward dataset's chats, so no model was trained on a test prompt; chats in conflict are left
    out. `prompt_id` is a hash of the state and so the same in every week. The segment is that of the person whose vote
    was seen first, None where nobody knows it.
    """
    states = clean.join(chat_sides(clean, settings)["side"]).sort_values(["created_at", "vote_id"])
    states = states[[*STATE, "side", "segment"]].dropna(subset="side").drop_duplicates(STATE)
    states.insert(
        0, "prompt_id", pd.Series(map(prompt_id, *(states[name] for name in STATE)), states.index, dtype="str")
    )
    return states.reset_index(drop=True)


def prompt_id(query: str, context: str, system_prompt: object) -> str:
    prompt = system_prompt if isinstance(system_prompt, str) else None
    return hashlib.sha256(json.dumps([prompt, context, query]).encode()).hexdigest()[:16]
