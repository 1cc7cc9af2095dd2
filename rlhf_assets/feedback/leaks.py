"""Whether one part of a dataset knows of another, looked at afresh, without trusting how the sides were made."""

from dataclasses import dataclass

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
    """How much both know, by what it is; near duplicates as pairs. `near` holds the queries of `right`."""
    only_right = right.queries - left.queries
    return {
        "queries": len(left.queries & right.queries),
        "clusters": len(left.clusters & right.clusters),
        "conversations": len(left.conversations & right.conversations),
        "near-duplicate queries": sum(
            other in only_right for query in left.queries - right.queries for other in near.like(query)
        ),
    }


def leaks(dataset: Dataset, settings: SplitSettings) -> list[str]:
    """What the sides, the newest questions and the weeks before, and the judge's users and the others share, one line
    each; empty when the dataset is sound. Texts are not quoted.
    """
    frames = dataset.sides()
    train, validation, test = (known(pd.concat([frames[side], frames[f"judge_{side}"]])) for side in SIDES)
    before = known(pd.concat([votes[votes["week"] < dataset.week] for votes in frames.values()]))
    of_newest = dataset.newest_questions()
    newest = known(pd.concat(of_newest.values()))
    near = MinHashes(validation.queries | test.queries | newest.queries, settings.near_duplicate)
    found = [
        f"{both} share {what}: {number}"
        for both, left, right in (
            ("train and validation", train, validation),
            ("train and test", train, test),
            ("validation and test", validation, test),
            ("the weeks before and newest", before, newest),
        )
        for what, number in shared(left, right, near).items()
        if number
    ]
    for name, votes in of_newest.items():
        side = name.replace("newest", "train")
        if foreign := len(set(votes["vote_id"]) - set(frames[side]["vote_id"])):
            found.append(f"{name} holds votes that are not in {side}: {foreign}")
        if old := int((votes["week"] != dataset.week).sum()):
            found.append(f"{name} holds votes of other weeks: {old}")
    people: dict[bool, set[str]] = {True: set(), False: set()}  # by whether their votes are held out
    for name, votes in {**frames, **of_newest}.items():
        people[name.startswith("judge_")] |= set(votes["user_id"].dropna())
    if both_users := people[True] & people[False]:
        found.append(f"the judge's users and the others share people: {len(both_users)}")
    return found
