"""One week of raw votes into clean and quarantined ones. Nothing is dropped: the two always add up to the raw rows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from rlhf_assets.feedback.read import ADDED_LATER, MOMENT, RAW_SCHEMA
from rlhf_assets.feedback.rules import RULES, prepared
from rlhf_assets.feedback.settings import LOOKBACK_WEEKS, CleaningSettings
from rlhf_assets.feedback.weeks import bounds, earlier, week_of


@dataclass(frozen=True)
class CleanResult:
    """clean: raw columns, `score` in [0, 1], `is_thumb`, `week`. quarantined: raw columns, `reason`, `rule_version`,
    `week`. Both in order of (created_at, vote_id).
    """

    clean: pd.DataFrame
    quarantined: pd.DataFrame


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The raw columns in dtypes that do not depend on which values are missing, in order of (created_at, vote_id).

    A column that was ADDED_LATER than the rows were extracted is null.
    """
    kinds = {
        field.name: "str" if field.type == pa.string() else "datetime64[us, UTC]" if field.type == MOMENT else "float64"
        for field in RAW_SCHEMA
    }
    rows = rows.assign(**{name: None for name in ADDED_LATER if name not in rows})
    return rows[list(kinds)].astype(kinds).sort_values(["created_at", "vote_id"], ignore_index=True)


def clean_week(rows: pd.DataFrame, lookback: pd.DataFrame, settings: CleaningSettings) -> CleanResult:
    """Judge the raw `rows` of one week, seeing the raw rows of the LOOKBACK_WEEKS weeks before it.

    Older or later rows in `lookback` are not looked at, so the result depends on the week alone and not on how many
    weeks are processed together. Raises ValueError when `rows` are not of one week.
    """
    votes = typed(rows)
    week = week_of(votes["created_at"].min()) if len(votes) else ""
    if week:
        start, end = bounds(week)
        if not votes["created_at"].between(start, end, inclusive="left").all():
            raise ValueError("clean_week takes the rows of one week")
        reach = bounds(earlier(week, LOOKBACK_WEEKS))[0]
        lookback = lookback[lookback["created_at"].between(reach, start, inclusive="left")]
    window = prepared(pd.concat([typed(lookback), votes], ignore_index=True))
    prepared_votes = window.iloc[len(window) - len(votes) :]

    broken = np.full(len(votes), -1)
    for number, rule in enumerate(RULES):
        applies = rule.applies(prepared_votes, window, settings).to_numpy(dtype=bool)
        broken[applies & (broken < 0)] = number

    valid, refused = broken < 0, broken >= 0
    is_thumb = votes["feedback_score"].isna()
    thumb_score = (prepared_votes["thumb"] == "positive").to_numpy(dtype=float)
    score = ((votes["feedback_score"] - 1) / 4).where(~is_thumb, thumb_score)
    clean = votes[valid].assign(score=score[valid], is_thumb=is_thumb[valid])
    quarantined = votes[refused].assign(
        reason=pd.Series([RULES[i].reason for i in broken[refused]], index=votes.index[refused], dtype="str"),
        rule_version=np.array([RULES[i].version for i in broken[refused]], dtype="int64"),
    )
    named = [frame.assign(week=pd.Series(week, index=frame.index, dtype="str")) for frame in (clean, quarantined)]
    return CleanResult(*(frame.reset_index(drop=True) for frame in named))
