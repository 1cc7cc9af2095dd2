"""One week of raw votes into clean and quarantined ones. Nothing is dropped: the two always add up to the raw rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.feedback.read import ADDED_LATER, MOMENT, RAW_SCHEMA
from rlhf_assets.feedback.rules import RULES
from rlhf_assets.feedback.rules.window import WINDOW_COLUMNS, target, thumb, window_of
from rlhf_assets.feedback.settings import LOOKBACK_WEEKS, CleaningSettings
from rlhf_assets.feedback.weeks import bounds, earlier, week_of

KINDS = {
    field.name: "str" if field.type == pa.string() else "datetime64[us, UTC]" if field.type == MOMENT else "float64"
    for field in RAW_SCHEMA
}


@dataclass(frozen=True)
class Extraction:
    """Where raw rows came from: `source`, the path of their artifact below the root, and when they were read."""

    source: str
    read_at: datetime


@dataclass(frozen=True)
class CleanResult:
    """clean: raw columns, `score` in [0, 1], `is_thumb`, `week`; personal data as the settings say. quarantined: raw
    columns as they were, `reason`, `rule` (its name), `rule_version`, `source`, `week`. Both in order of (created_at,
    vote_id).
    """

    clean: pd.DataFrame
    quarantined: pd.DataFrame


def typed(rows: pd.DataFrame, columns: Sequence[str] = RAW_SCHEMA.names) -> pd.DataFrame:
    """Raw columns in dtypes that do not depend on which values are missing, in order of (created_at, vote_id).

    A column that was ADDED_LATER than the rows were extracted is null.
    """
    rows = rows.assign(**{name: None for name in ADDED_LATER if name in columns and name not in rows})[list(columns)]
    return in_order(rows.astype({name: KINDS[name] for name in columns if rows[name].dtype != KINDS[name]}))


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """By (created_at, vote_id), missing ones last, numbered from 0; Arrow compares ids only where moments are equal."""
    keys = pa.table({name: pa.array(rows[name]) for name in ("created_at", "vote_id")})
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]).to_numpy()
    return rows.reset_index(drop=True) if (order[1:] > order[:-1]).all() else rows.iloc[order].reset_index(drop=True)


def clean_week(
    rows: pd.DataFrame,
    lookback: pd.DataFrame,
    settings: CleaningSettings,
    extractions: Mapping[str, Extraction] | None = None,
    personal_data: PersonalData | None = None,
) -> CleanResult:
    """Judge the raw `rows` of one week, seeing the raw rows of the LOOKBACK_WEEKS weeks before it.

    Older or later rows in `lookback` are not looked at, so the result depends on the week alone and not on how many
    weeks are processed together. `extractions` says for each kind of vote where it was read; without it no row is of
    the future. `personal_data` remembers texts from week to week. Raises ValueError when `rows` are not of one week.
    """
    votes = typed(rows)
    week = week_of(votes["created_at"].min()) if len(votes) else ""
    if week:
        start, end = bounds(week)
        if not votes["created_at"].between(start, end, inclusive="left").all():
            raise ValueError("clean_week takes the rows of one week")
        reach = bounds(earlier(week, LOOKBACK_WEEKS))[0]
        seen = lookback["created_at"].between(reach, start, inclusive="left")
        lookback = lookback if seen.all() else lookback[seen]
    past = typed(lookback, WINDOW_COLUMNS)
    window = window_of(pd.concat([past, votes[list(WINDOW_COLUMNS)]], ignore_index=True))
    personal_data = personal_data or PersonalData(settings.phone_regions)
    judged = votes.assign(
        thumb=thumb(votes),
        target=target(votes),
        read_at=of_kind(votes, {kind: one.read_at for kind, one in (extractions or {}).items()}, KINDS["created_at"]),
        personal=personal_data.held_by(votes) if settings.personal_data == "quarantine" else False,
    ).set_axis(window.index[len(past) :])
    broken = first_broken(judged, window, settings)

    valid, refused = broken < 0, broken >= 0
    is_thumb = votes["feedback_score"].isna()
    thumb_score = (judged["thumb"] == "positive").to_numpy(dtype=float)
    score = ((votes["feedback_score"] - 1) / 4).where(~is_thumb, thumb_score)
    clean = votes[valid].assign(score=score[valid], is_thumb=is_thumb[valid])
    if settings.personal_data != "keep":
        clean = personal_data.redacted(clean)
    why = [RULES[number] for number in broken[refused]]
    quarantined = votes[refused].assign(
        reason=np.array([rule.reason for rule in why], dtype=object),
        rule=np.array([rule.name for rule in why], dtype=object),
        rule_version=np.array([rule.version for rule in why], dtype="int64"),
    )
    sources = {kind: one.source for kind, one in (extractions or {}).items()}
    quarantined = quarantined.assign(source=of_kind(quarantined, sources, "str"))
    quarantined = quarantined.astype({"reason": "str", "rule": "str"})
    named = [frame.assign(week=pd.Series(week, index=frame.index, dtype="str")) for frame in (clean, quarantined)]
    return CleanResult(*(frame.reset_index(drop=True) for frame in named))


def first_broken(judged: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> np.ndarray:
    """For each vote the number of the first rule in RULES that refuses it, or -1. Shape (len(judged),)."""
    broken = np.full(len(judged), -1)
    for number, rule in enumerate(RULES):
        applies = rule.applies(judged, window, settings).to_numpy(dtype=bool)
        broken[applies & (broken < 0)] = number
    return broken


def of_kind(votes: pd.DataFrame, known: Mapping[str, object], dtype: str) -> pd.Series:
    """What is known for each vote's kind; missing for other kinds."""
    values = pd.Series(None, index=votes.index, dtype=dtype)
    for kind, value in known.items():
        values = values.mask(votes["kind"] == kind, value)
    return values


def adds_up(rows: pd.DataFrame, result: CleanResult) -> bool:
    """Whether each raw vote is in clean or in quarantine, once, and no other is."""
    kept = pd.concat([result.clean["vote_id"], result.quarantined["vote_id"]])
    return sorted(kept) == sorted(rows["vote_id"])


def weeks_with_lookback(
    weeks: Iterable[str], first: str, read: Callable[[str], pd.DataFrame]
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Each week with its rows and those of the weeks of its look-back that are not before the `first` week there is.

    `read` is asked once for a week that several look back at, as long as `weeks` are in order.
    """
    rows_of = lru_cache(maxsize=LOOKBACK_WEEKS + 1)(read)
    seen_of = lru_cache(maxsize=LOOKBACK_WEEKS)(lambda week: typed(rows_of(week), WINDOW_COLUMNS))
    for week in weeks:
        rows = rows_of(week)
        before = [earlier(week, n) for n in range(LOOKBACK_WEEKS, 0, -1)]
        seen = [seen_of(one) for one in before if one >= first]
        yield week, rows, pd.concat([typed(rows.iloc[:0], WINDOW_COLUMNS), *seen], ignore_index=True)
