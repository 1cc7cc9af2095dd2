"""Whether a dataset's sides know of each other, looked at afresh."""

import pandas as pd

from rlhf_assets.feedback.near_duplicates import number_alike
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import CHAT, SIDES, Dataset, user_turns


def leaks(dataset: Dataset, settings: SplitSettings) -> list[str]:
    """What one side knows of another, one line each; empty when the dataset is sound. Texts are not quoted.

    Looked at afresh, without trusting how the sides were made: equal queries and near duplicates, each among all that
    was asked including the earlier turns, clusters, and people who both train and judge.
    """
    frames = dataset.sides()
    by_side = {side: pd.concat([frames[side], frames[f"judge_{side}"]]) for side in SIDES}
    found = []
    queries = {
        side: {turn for chat in rows[CHAT].drop_duplicates().itertuples(index=False) for turn in user_turns(*chat)}
        for side, rows in by_side.items()
    }
    clusters = {side: set(rows["cluster"]) for side, rows in by_side.items()}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        near = number_alike(queries[second] - queries[first], queries[first], settings.near_duplicate)
        for number, what in (
            (len(queries[first] & queries[second]), "queries"),
            (len(clusters[first] & clusters[second]), "clusters"),
            (near, "near-duplicate queries"),
        ):
            if number:
                found.append(f"{first} and {second} share {what}: {number}")
    people = [
        set(pd.concat([frames[prefix + side]["user_id"] for side in SIDES]).dropna()) for prefix in ("", "judge_")
    ]
    if both := people[0] & people[1]:
        found.append(f"the judge's users and the others share people: {len(both)}")
    return found
