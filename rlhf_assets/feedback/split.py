"""Clean votes into train, validation and test sides that stay fixed for ever, and the judge's share of each."""

import hashlib
import json
from dataclasses import dataclass

import pandas as pd

from rlhf_assets.feedback.near_duplicates import NearDuplicates, normalised
from rlhf_assets.feedback.rules import target
from rlhf_assets.feedback.settings import SplitSettings

SIDES = ("train", "validation", "test")
CHAT = ["query", "context"]  # what a row's side depends on


@dataclass(frozen=True)
class Dataset:
    """The current votes as of a week, by side; the judge_* frames hold the votes of the held-out users only.

    Every frame has the clean columns, `cluster` and `side`; `conflicts` also `reason`, and neither cluster nor side.
    `superseded` counts the votes left out because the person voted again on the same target.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    judge_train: pd.DataFrame
    judge_validation: pd.DataFrame
    judge_test: pd.DataFrame
    conflicts: pd.DataFrame
    superseded: int

    def sides(self) -> dict[str, pd.DataFrame]:
        """The frames that models see, by name: all but the conflicts."""
        names = [*SIDES, *(f"judge_{side}" for side in SIDES)]
        return {name: getattr(self, name) for name in names}


def share_of(text: str, salt: str) -> float:
    """A number in [0, 1) that belongs to the text for ever."""
    return int.from_bytes(hashlib.sha256(f"{salt}\n{text}".encode()).digest()[:8], "big") / 2**64


def side_of(text: str, settings: SplitSettings) -> str:
    place = share_of(text, settings.salt)
    if place < settings.test_share:
        return "test"
    return "validation" if place < settings.test_share + settings.validation_share else "train"


def is_judge(user_id: object, settings: SplitSettings) -> bool:
    """Whether the person's votes are held out for the judge; votes without a person never are."""
    return isinstance(user_id, str) and share_of(f"judge {user_id}", settings.salt) < settings.judge_share


def user_turns(query: str, context: str) -> list[str]:
    """All that the person said up to the answer, normalised, oldest first."""
    earlier = [turn["content"] for turn in json.loads(context) if turn["role"] == "user"]
    return [normalised(text) for text in (*earlier, query)]


def chat_sides(clean: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """The cluster and side of each distinct chat; index: query and context, columns: cluster, side (both missing:
    conflict).

    Chats are taken in the order in which they were first seen, over all votes including superseded ones. The first user
    turn decides: one that resembles earlier turns joins the cluster of the first of them, another founds a cluster,
    whose side is a hash of its text. The chat's turns then all belong to that side. A chat of which any turn resembles
    one of another side is a conflict and attracts nobody. So what comes later never changes what was decided, and no
    side holds a near duplicate of what was asked on another side, be it as query or as an earlier turn.
    """
    seen = NearDuplicates(settings.near_duplicate)
    known: set[str] = set()
    members: list[tuple[str, str]] = []  # cluster and side by number in `seen`
    chats = clean.sort_values(["created_at", "vote_id"])[CHAT].drop_duplicates()
    rows: list[tuple[str | None, str | None]] = []
    for query, context in zip(*(chats[name] for name in CHAT), strict=True):
        turns = user_turns(query, context)
        alike = [[members[number] for number in seen.like(turn)] for turn in turns]
        founded = (hashlib.sha256(turns[0].encode()).hexdigest()[:16], side_of(turns[0], settings))
        own = alike[0][0] if alike[0] else founded
        if any(side != own[1] for found in alike for _, side in found):
            rows.append((None, None))
            continue
        rows.append(own)
        for turn in dict.fromkeys(turns):
            if turn not in known:
                known.add(turn)
                seen.add(turn)
                members.append(own)
    return pd.DataFrame(rows, index=pd.MultiIndex.from_frame(chats), columns=["cluster", "side"], dtype="str")


def latest_votes(clean: pd.DataFrame) -> pd.DataFrame:
    """The last clean vote of each person on each message or step, in order of (created_at, vote_id).

    A vote that cannot be read (no usable rating, or one that contradicts itself) says nothing: cleaning has put it into
    quarantine, and the person's rating before it still counts.
    """
    ordered = clean.sort_values(["created_at", "vote_id"], ignore_index=True)
    person = ordered["user_id"].fillna(ordered["vote_id"])  # votes without a person supersede nothing
    again = pd.DataFrame({"person": person, "target": target(ordered)}).duplicated(keep="last")
    return ordered[~again]


def build_dataset(clean: pd.DataFrame, settings: SplitSettings) -> Dataset:
    """Everything known up to a week's end, from the clean votes of all weeks up to it.

    Each clean vote is in exactly one frame or counted as superseded. Built again with more weeks, a vote that is still
    the person's latest is on the same side.
    """
    votes = latest_votes(clean)
    rows = votes.join(chat_sides(clean, settings), on=CHAT)
    for_judge = rows["user_id"].map(lambda user: is_judge(user, settings)).astype(bool)
    frames = {
        prefix + side: rows[held_out & (rows["side"] == side)].reset_index(drop=True)
        for prefix, held_out in (("", ~for_judge), ("judge_", for_judge))
        for side in SIDES
    }
    conflicts = rows[rows["side"].isna()].reset_index(drop=True)
    reason = pd.Series("split_conflict", index=conflicts.index, dtype="str")
    return Dataset(**frames, conflicts=conflicts.assign(reason=reason), superseded=len(clean) - len(votes))
