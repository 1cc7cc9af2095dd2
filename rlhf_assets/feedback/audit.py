"""What a person should know about a week's feedback, as plain figures."""

import pandas as pd

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
