"""Clean votes into train, validation and test sides that stay fixed for ever, and the judge's share of each."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from rlhf_assets.feedback.near_duplicates import NearDuplicates, normalised
from rlhf_assets.feedback.rules import target
from rlhf_assets.feedback.settings import SplitSettings

SIDES = ("train", "validation", "test")
NEWEST = ("newest", "judge_newest")
CHAT = ["query", "context"]  # the state of a chat in which an answer was rated
ASKED = [*CHAT, "chat_id", "week"]  # what a row's place depends on


@dataclass(frozen=True)
class Dataset:
    """The current votes as of a week, by side; the judge_* frames hold the votes of the held-out users only.

    There are three tests. `test`: questions that nothing is trained on, ever. `judge_test`: of these the held-out
    users' votes, so questions and people are new. `newest`: the rows of `train` of this week whose question nobody
    knew before it, which this week's models train on and those of all weeks before can be tested on (progressive
    validation); `judge_newest`: those of `judge_train`.

    Every frame has the columns it was built from, `cluster` and `side`; `conflicts` also `reason`, and neither cluster
    nor side. `superseded` counts the votes left out because the person voted again on the same target.
    """

    week: str
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    judge_train: pd.DataFrame
    judge_validation: pd.DataFrame
    judge_test: pd.DataFrame
    newest: pd.DataFrame
    judge_newest: pd.DataFrame
    conflicts: pd.DataFrame
    superseded: int

    def sides(self) -> dict[str, pd.DataFrame]:
        """The frames that part the votes between them, by name: all but NEWEST and the conflicts."""
        names = [*SIDES, *(f"judge_{side}" for side in SIDES)]
        return {name: getattr(self, name) for name in names}

    def newest_questions(self) -> dict[str, pd.DataFrame]:
        """The frames of NEWEST, by name."""
        return {name: getattr(self, name) for name in NEWEST}


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


class Place(NamedTuple):
    """Where what was asked belongs; `since`: the week in which it, or anything that it belongs with, was first seen."""

    cluster: str
    side: str
    since: str


class Places:
    """Gives each row its place, in the order in which they were first seen. `texts`: all turns that will come.

    The first user turn decides: one that resembles earlier turns joins the cluster of the first of them; another joins
    its conversation where that is known, else founds a cluster, whose side is a hash of its text. All turns of the chat
    then belong to that side. A row of which any turn resembles one of another side, or whose conversation is on another
    side, is a conflict and attracts nobody. So what comes later never changes what was decided, no side holds a near
    duplicate of what was asked on another, be it as query or as an earlier turn, and no conversation is on two. Only
    when votes are taken away (deleted, forgotten) can a cluster get another founder, and with it another side.
    """

    def __init__(self, texts: Iterable[str], settings: SplitSettings) -> None:
        self.settings = settings
        self.seen = NearDuplicates(texts, settings.near_duplicate)
        self.members: list[Place] = []  # by number in `seen`
        self.known: set[str] = set()  # the texts in `seen`
        self.chats: dict[tuple[str, str], Place] = {}
        self.conversations: dict[str, Place] = {}

    def of(self, query: str, context: str, chat_id: object, week: str) -> Place | None:
        """None: a conflict."""
        there = self.conversations.get(chat_id) if isinstance(chat_id, str) else None
        place = self.chats.get((query, context)) or self._join(query, context, there, week)
        if place is None or (there and there.side != place.side):
            return None
        if there:
            place = place._replace(since=min(place.since, there.since))
        elif isinstance(chat_id, str):
            self.conversations[chat_id] = place
        return place

    def _join(self, query: str, context: str, there: Place | None, week: str) -> Place | None:
        turns = user_turns(query, context)
        alike = [[self.members[number] for number in self.seen.like(turn)] for turn in turns]
        own = alike[0][0] if alike[0] else there or self._founded(turns[0], week)
        bound = [place for found in (*alike, [there] if there else []) for place in found]
        if any(place.side != own.side for place in bound):
            return None
        place = own._replace(since=min([week, *(place.since for place in bound)]))
        for turn in turns:
            if turn not in self.known:
                self.known.add(turn)
                self.seen.add(turn)
                self.members.append(place)
        self.chats[query, context] = place
        return place

    def _founded(self, turn: str, week: str) -> Place:
        return Place(hashlib.sha256(turn.encode()).hexdigest()[:16], side_of(turn, self.settings), week)


def chat_sides(clean: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """The place of each row, by the rows' index: cluster, side, since (all missing: conflict). See `Places`.

    Superseded votes count too: what they asked was seen.
    """
    asked = clean.sort_values(["created_at", "vote_id"])[ASKED]
    chats = asked[CHAT].drop_duplicates().itertuples(index=False, name=None)
    places = Places((turn for chat in chats for turn in user_turns(*chat)), settings)
    rows = [places.of(*row) or (None, None, None) for row in asked.itertuples(index=False, name=None)]
    return pd.DataFrame(rows, index=asked.index, columns=list(Place._fields), dtype="str")


def latest_votes(clean: pd.DataFrame) -> pd.DataFrame:
    """The last clean vote of each person on each message or step, in order of (created_at, vote_id).

    A vote that cannot be read (no usable rating, or one that contradicts itself) says nothing: cleaning has put it into
    quarantine, and the person's rating before it still counts.
    """
    ordered = clean.sort_values(["created_at", "vote_id"], ignore_index=True)
    person = ordered["user_id"].fillna(ordered["vote_id"])  # votes without a person supersede nothing
    again = pd.DataFrame({"person": person, "target": target(ordered)}).duplicated(keep="last")
    return ordered[~again]


def build_dataset(clean: pd.DataFrame, settings: SplitSettings, week: str) -> Dataset:
    """Everything known up to the end of `week`, from the clean votes of all weeks up to it.

    Each clean vote is in exactly one side, in the conflicts or counted as superseded. Built again with more weeks, a
    vote that is still the person's latest is on the same side.
    """
    rows = latest_votes(clean.join(chat_sides(clean, settings)))
    superseded = len(clean) - len(rows)
    new = (rows["week"] == week) & (rows["since"] == week)
    rows = rows.drop(columns="since")
    for_judge = rows["user_id"].map(lambda user: is_judge(user, settings)).astype(bool)
    frames = {
        prefix + side: rows[held_out & (rows["side"] == side)].reset_index(drop=True)
        for prefix, held_out in (("", ~for_judge), ("judge_", for_judge))
        for side in SIDES
    }
    train = (rows["side"] == "train") & new
    newest = {
        name: rows[held_out & train].reset_index(drop=True)
        for name, held_out in zip(NEWEST, (~for_judge, for_judge), strict=True)
    }
    conflicts = rows[rows["side"].isna()].reset_index(drop=True)
    reason = pd.Series("split_conflict", index=conflicts.index, dtype="str")
    return Dataset(week, **frames, **newest, conflicts=conflicts.assign(reason=reason), superseded=superseded)
