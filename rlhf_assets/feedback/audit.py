"""What a person should know about a week's feedback, as plain figures."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from rlhf_assets.feedback.activity import NUMBERS
from rlhf_assets.feedback.agreement import agreement, signals, strictness
from rlhf_assets.feedback.drift import drift
from rlhf_assets.feedback.estimates import Estimate, correlation, share
from rlhf_assets.feedback.settings import AuditSettings
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.printable import printable

MIDDLE = 0.5  # a score of 3: neither positive nor negative
NAMES, NAME_CHARACTERS = 20, 40  # segments and versions shown by name, the others summed up; how much of a name
OTHERS, NONE = "(others)", "none"
SUSPICIONS = ("one_button_rater", "too_fast_rater", "brigade")  # reasons that are about a person, not about a vote


def votes_of(clean: pd.DataFrame) -> pd.DataFrame:
    """What the audit needs of a week's clean votes, without their texts.

    Columns: week, rater (a vote without a user is a person of its own), kind, message_id, is_thumb, score, segment,
    model_version (names that can be shown), characters of the answer, answer (a hash of what was rated).
    """
    said = clean[["kind", "query", "context", "response"]]
    return pd.DataFrame(
        {
            "week": clean["week"],
            "rater": clean["user_id"].fillna(clean["vote_id"]),
            "kind": clean["kind"],
            "message_id": clean["message_id"],
            "is_thumb": clean["is_thumb"].astype(bool),
            "score": clean["score"],
            "segment": named(clean["segment"]),
            "model_version": named(clean["model_version"]),
            "characters": clean["response"].str.len().astype("int64"),
            "answer": pd.util.hash_pandas_object(said, index=False),
        }
    )


def named(names: pd.Series) -> pd.Series:
    return names.astype("str").map(shown, na_action="ignore").astype("str").fillna(NONE)


def shown(name: str) -> str:
    """A name as it may be shown: cut, and without characters that move a cursor or turn the direction of writing."""
    cut = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
    return printable(cut)


def audit_week(
    week: str,
    weeks: Mapping[str, pd.DataFrame],
    raw: int,
    quarantined: pd.DataFrame,
    activity: pd.DataFrame,
    outside: Mapping[str, int],
    settings: AuditSettings,
) -> dict[str, Any]:
    """Figures of one week, JSON-able; a share, mean or comparison of nothing is None, an estimate {value, low, high}.

    `weeks` holds the clean votes (`votes_of`) of this week and of those weeks of its look-back that were cleaned,
    `raw` counts this week's raw votes, `quarantined` are its refused ones, `activity` are the rows of rlhf.activity
    of the same weeks, `outside` comes from `rows_outside_weeks`. Shares and scores are of the clean votes;
    `positive_share` leaves out the votes in the middle. Agreement, signals and strictness look at all `weeks`, since
    in one week few people rate the same answer.
    """
    every = few_names(pd.concat([weeks[name] for name in sorted(weeks)], ignore_index=True))
    now, before = every[every["week"] == week], every[every["week"] != week]
    used = {name: usage(activity, name) for name in sorted(weeks)}
    whole = now["kind"] == "message"
    return {
        "votes": {"raw": raw, "clean": len(now), "quarantined": len(quarantined), "outside": dict(outside)},
        "quarantine_share": ratio(len(quarantined), raw),
        "quarantined_by_reason": counts(quarantined["reason"]),
        "positive_share": positive_share(now),
        "positive_share_before": (positive_share(before) or {}).get("value"),
        "weeks": {
            name: {
                "votes": int((every["week"] == name).sum()),
                "positive_share": positive_share(every[every["week"] == name]),
                "rated_share": used[name]["rated_share"],
            }
            for name in sorted(weeks)
        },
        "overall": opinion(now),
        **{f"by_{cut}": {name: opinion(part) for name, part in now.groupby(cut)} for cut in CUTS},
        "rated_share": used[week]["rated_share"],
        "rated_share_before": rated_share([used[name] for name in used if name != week]),
        "activity": {"all": used[week], **{cut: usage_by(activity, week, cut) for cut in USED_BY}},
        "raters": {**raters(now), "suspected": suspected(quarantined), "strictness": strictness(every)},
        "agreement": {
            "scores": agreement(every[~every["is_thumb"]]),
            "thumbs": agreement(every[every["is_thumb"]]),
        },
        "signals": signals(every),
        "length_score_correlation": length_score_correlation(now[whole]),
        "length_score_correlation_of_steps": length_score_correlation(now[~whole]),
        "drift": {
            "week_before": drift(now, before[before["week"] == earlier(week, 1)], settings.minimum_votes),
            "look_back": drift(now, before, settings.minimum_votes),
        },
    }


CUTS = ("kind", "segment", "model_version")
USED_BY = ("segment", "model_version", "opinion")


def few_names(votes: pd.DataFrame) -> pd.DataFrame:
    """Segments and model versions beyond the NAMES most frequent ones become OTHERS: free text may stand there."""
    return votes.assign(
        **{cut: votes[cut].where(votes[cut].isin(votes[cut].value_counts().index[:NAMES]), OTHERS) for cut in CUTS[1:]}
    )


def opinion(votes: pd.DataFrame) -> dict[str, object]:
    """How many clean votes there are and how they fell; thumbs are counted apart from scores of 1 to 5."""
    score, thumbs = votes["score"], votes["is_thumb"].astype(bool)
    points = (score[~thumbs] * 4 + 1).round().astype("int64")
    return {
        "votes": len(votes),
        "positive_share": ratio(int((score > MIDDLE).sum()), int((score != MIDDLE).sum())),
        "mean_score": 1 + 4 * float(score.mean()) if len(votes) else None,  # points of 1 to 5
        "scores": {str(point): int((points == point).sum()) for point in range(1, 6)},
        "thumbs": {"up": int((score[thumbs] > MIDDLE).sum()), "down": int((score[thumbs] < MIDDLE).sum())},
    }


def positive_share(votes: pd.DataFrame) -> Estimate | None:
    return share(votes["score"] > MIDDLE, votes["score"] != MIDDLE, votes["rater"])


def length_score_correlation(votes: pd.DataFrame) -> Estimate | None:
    """Spearman correlation of answer length (characters) with score; None when either is constant."""
    return correlation(votes["characters"], votes["score"], votes["rater"])


def raters(votes: pd.DataFrame) -> dict[str, object]:
    """How many people rated, and how much of the week the busiest of them holds."""
    each = votes["rater"].value_counts()
    return {
        "people": len(each),
        "median_votes": float(each.median()) if len(each) else None,
        "busiest_share": ratio(int(each.max()), len(votes)) if len(each) else None,
    }


def suspected(quarantined: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Votes and people that the rules on raters refused, by reason."""
    found = quarantined[quarantined["reason"].isin(SUSPICIONS)]
    return {
        str(reason): {"votes": len(votes), "people": int(votes["user_id"].nunique())}
        for reason, votes in found.groupby("reason")
    }


def usage(activity: pd.DataFrame, week: str) -> dict[str, object]:
    """What was asked and rated in the week, and who of the week before came back in it."""
    return usage_by(activity, week, "all").get(NONE, use_of(dict.fromkeys(NUMBERS, 0), None))


def usage_by(activity: pd.DataFrame, week: str, cut: str) -> dict[str, dict[str, object]]:
    """The same by segment, model version, or opinion (what people said of a conversation)."""
    rows = activity[activity["cut"] == cut]
    rows = rows.assign(name=named(rows["name"]))
    last, this = (
        rows[rows["week"] == name].groupby("name")[NUMBERS].sum().sort_values("messages", ascending=False)
        for name in (earlier(week, 1), week)
    )
    before = last.to_dict("index")
    return {str(name): use_of(numbers, before.get(name)) for name, numbers in this.head(NAMES).to_dict("index").items()}


def use_of(this: Mapping[Any, int], last: Mapping[Any, int] | None) -> dict[str, object]:
    """`returned_share` is of the people of the week before: those of this week are not back yet."""
    return {
        **{name: int(this[name]) for name in ("messages", "rated", "chats", "users")},
        "rated_share": ratio(int(this["rated"]), int(this["messages"])),
        "answers_per_chat": ratio(int(this["messages"]), int(this["chats"])),
        "returned_share": ratio(int(last["returned"]), int(last["users"])) if last else None,
    }


def rated_share(used: list[dict]) -> float | None:
    return ratio(sum(week["rated"] for week in used), sum(week["messages"] for week in used))


def counts(values: pd.Series) -> dict[str, int]:
    return {str(value): int(n) for value, n in values.value_counts().items()}


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
