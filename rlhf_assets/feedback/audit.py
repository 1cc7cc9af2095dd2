"""What a person should know about a week's feedback, as plain figures; and whether a dataset's sides leak."""

import pandas as pd

from rlhf_assets.feedback.near_duplicates import number_alike
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import CHAT, SIDES, Dataset, user_turns

MIDDLE = 0.5  # a score of 3: neither positive nor negative


def audit_week(
    raw: pd.DataFrame, clean: pd.DataFrame, quarantined: pd.DataFrame, outside: dict[str, int]
) -> dict[str, object]:
    """Figures of one week, JSON-able; a share or mean of nothing is None. `outside` comes from `rows_outside_weeks`.

    Shares and scores are of the clean votes; `positive_share` leaves out the votes in the middle.
    """
    return {
        "votes": {"raw": len(raw), "clean": len(clean), "quarantined": len(quarantined), "outside": outside},
        "quarantine_share": ratio(len(quarantined), len(raw)),
        "quarantined_by_reason": counts(quarantined["reason"]),
        "by_kind": {kind: opinion(votes) for kind, votes in clean.groupby("kind")},
        "by_segment": {segment: opinion(votes) for segment, votes in clean.groupby(clean["segment"].fillna("none"))},
        "by_model_version": {
            version: opinion(votes) for version, votes in clean.groupby(clean["model_version"].fillna("none"))
        },
        "overall": opinion(clean),
        "length_score_correlation": length_score_correlation(clean),
        "raters": raters(clean),
    }


def opinion(votes: pd.DataFrame) -> dict[str, object]:
    """How many clean votes there are and how they fell; thumbs are counted apart from scores of 1 to 5."""
    score, thumbs = votes["score"], votes["is_thumb"].astype(bool)
    points = (score[~thumbs] * 4 + 1).round().astype("int64")
    return {
        "votes": len(votes),
        "positive_share": ratio(int((score > MIDDLE).sum()), int((score != MIDDLE).sum())),
        "mean_score": float(score.mean()) if len(votes) else None,
        "scores": {str(point): int((points == point).sum()) for point in range(1, 6)},
        "thumbs": {"up": int((score[thumbs] > MIDDLE).sum()), "down": int((score[thumbs] < MIDDLE).sum())},
    }


def length_score_correlation(clean: pd.DataFrame) -> float | None:
    """Spearman correlation of answer length (characters) with score; None when either is constant."""
    lengths, scores = clean["response"].str.len().rank(), clean["score"].rank()
    if lengths.nunique() < 2 or scores.nunique() < 2:
        return None
    return float(lengths.corr(scores))


def raters(clean: pd.DataFrame) -> dict[str, object]:
    """How many people rated, and how much of the week the busiest of them holds."""
    votes = clean["user_id"].value_counts()
    return {
        "people": len(votes),
        "median_votes": float(votes.median()) if len(votes) else None,
        "busiest_share": ratio(int(votes.max()), len(clean)) if len(votes) else None,
    }


def counts(values: pd.Series) -> dict[str, int]:
    return {str(value): int(n) for value, n in values.value_counts().items()}


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


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
