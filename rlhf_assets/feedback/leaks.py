"""Whether one part of a dataset knows of another, looked at afresh, without trusting how the sides were made."""

from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from rlhf_assets.feedback.near_duplicates import MinHashes
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import CHAT, SIDES, Dataset, user_turns


@dataclass(frozen=True)
class Known:
    """What one has seen who has seen some votes; `queries` are all user turns, the earlier ones included."""

    queries: set[str]
    clusters: set[str]
    conversations: set[str]


def known(votes: pd.DataFrame) -> Known:
    chats = votes[CHAT].drop_duplicates().itertuples(index=False, name=None)
    return Known(
        queries={turn for chat in chats for turn in user_turns(*chat)},
        clusters=set(votes["cluster"]),
        conversations=set(votes["chat_id"].dropna()),
    )


def shared(left: Known, right: Known, near: MinHashes) -> dict[str, int]:
    """How much both know, by what it is; near duplicates as pairs."""
    return {
        "queries": len(left.queries & right.queries),
        "clusters": len(left.clusters & right.clusters),
        "conversations": len(left.conversations & right.conversations),
        "near-duplicate queries": near.pairs_alike(left.queries - right.queries, right.queries - left.queries),
    }


def leaks(dataset: Dataset, settings: SplitSettings) -> list[str]:
    """What the sides, the newest questions and the weeks before, and the judge's users and the others share, one line
    each; empty when the dataset is sound. Texts are not quoted.
    """
    frames, newest = dataset.sides(), dataset.newest
    near = MinHashes(settings.near_duplicate)
    sides = {side: known(pd.concat([frames[side], frames[f"judge_{side}"]])) for side in SIDES}
    before = known(pd.concat([votes[votes["week"] < dataset.week] for votes in frames.values()]))
    compared = {(first, second): (sides[first], sides[second]) for first, second in combinations(SIDES, 2)}
    compared["newest", "the weeks before"] = (known(newest), before)
    found = [
        f"{first} and {second} share {what}: {number}"
        for (first, second), both in compared.items()
        for what, number in shared(*both, near).items()
        if number
    ]
    if foreign := len(set(newest["vote_id"]) - set(dataset.train["vote_id"])):
        found.append(f"newest holds votes that are not in train: {foreign}")
    if old := int((newest["week"] != dataset.week).sum()):
        found.append(f"newest holds votes of other weeks: {old}")
    judges = set(pd.concat([frames[f"judge_{side}"]["user_id"] for side in SIDES]).dropna())
    others = set(pd.concat([*(frames[side]["user_id"] for side in SIDES), newest["user_id"]]).dropna())
    if both_users := judges & others:
        found.append(f"the judge's users and the others share people: {len(both_users)}")
    return found
