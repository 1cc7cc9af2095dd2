"""Clean votes into train, validation and test sides that stay fixed for ever, and the judge's share of each."""

import hashlib
from dataclasses import dataclass

import pandas as pd

from rlhf_assets.feedback.near_duplicates import NearDuplicates, normalised
from rlhf_assets.feedback.rules import target
from rlhf_assets.feedback.settings import SplitSettings

SIDES = ("train", "validation", "test")


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


def query_sides(clean: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """The cluster and side of each distinct query; index: the query, columns: cluster, side (both missing: conflict).

    Queries are taken in the order in which they were first seen, over all votes including superseded ones. One that
    resembles nothing founds a cluster, whose side is a hash of its text; one that resembles earlier queries of a single
    side joins the first of them; one that resembles two sides is a conflict and attracts nobody. So what comes later
    never changes what was decided, and no side holds a near duplicate of another side's query.
    """
    seen = NearDuplicates(settings.near_duplicate)
    decided: dict[str, tuple[str, str] | None] = {}
    members: list[tuple[str, str]] = []  # cluster and side by number in `seen`
    queries = clean.sort_values(["created_at", "vote_id"])["query"].drop_duplicates()
    for text in dict.fromkeys(map(normalised, queries)):
        alike = [members[number] for number in seen.like(text)]
        sides = {side for _, side in alike}
        if len(sides) > 1:
            decided[text] = None
            continue
        founded = (hashlib.sha256(text.encode()).hexdigest()[:16], side_of(text, settings))
        members.append(alike[0] if alike else founded)
        decided[text] = members[seen.add(text)]
    rows = [decided[normalised(query)] or (None, None) for query in queries]
    return pd.DataFrame(rows, index=pd.Index(queries, name="query"), columns=["cluster", "side"], dtype="str")


def latest_votes(clean: pd.DataFrame) -> pd.DataFrame:
    """The last vote of each person on each message or step, in order of (created_at, vote_id)."""
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
    rows = votes.join(query_sides(clean, settings), on="query")
    for_judge = rows["user_id"].map(lambda user: is_judge(user, settings)).astype(bool)
    frames = {
        prefix + side: rows[held_out & (rows["side"] == side)].reset_index(drop=True)
        for prefix, held_out in (("", ~for_judge), ("judge_", for_judge))
        for side in SIDES
    }
    conflicts = rows[rows["side"].isna()].reset_index(drop=True)
    reason = pd.Series("split_conflict", index=conflicts.index, dtype="str")
    return Dataset(**frames, conflicts=conflicts.assign(reason=reason), superseded=len(clean) - len(votes))
