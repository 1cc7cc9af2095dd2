"""Figures of votes with their uncertainty: people are drawn anew, not votes, since one person's votes are alike."""

from collections.abc import Callable

import numpy as np
import pandas as pd

SAMPLES = 400  # steady to the second digit of an interval's ends, in milliseconds
FEW_GROUPS = 10  # drawing fewer than this anew says little about what others would have done

Estimate = dict[str, float | None]


def estimate(statistic: Callable[[np.ndarray], np.ndarray], sums: np.ndarray) -> Estimate | None:
    """{value, low, high}: the statistic of all groups together, with its 95 % percentile bootstrap over groups.

    `sums` (groups, k) holds what each group adds; `statistic` maps totals (..., k) to (...), NaN where undefined. None
    when there is no value; low and high are None below FEW_GROUPS groups.
    """
    value = float(statistic(sums.sum(axis=0)))
    if not np.isfinite(value):
        return None
    if len(sums) < FEW_GROUPS:
        return {"value": value, "low": None, "high": None}
    draw, n = np.random.default_rng(0), len(sums)
    totals = np.array([np.bincount(draw.integers(n, size=n), minlength=n) @ sums for _ in range(SAMPLES)])
    low, high = np.nanquantile(statistic(totals), (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high)}


def share(part: pd.Series, whole: pd.Series, people: pd.Series) -> Estimate | None:
    """How large a share of the rows marked in `whole` (bool) is marked in `part` too; people are drawn anew."""
    return estimate(
        lambda totals: quotient(totals[..., 0], totals[..., 1]),
        per_group(people, (part & whole).to_numpy(dtype=float), whole.to_numpy(dtype=float)),
    )


def correlation(first: pd.Series, second: pd.Series, people: pd.Series) -> Estimate | None:
    """Spearman correlation of two columns of the same rows; people are drawn anew, ranks stay as they are."""
    x, y = (centred(column.rank().to_numpy()) for column in (first, second))
    return estimate(pearson, per_group(people, np.ones(len(x)), x, y, x * x, y * y, x * y))


def pearson(totals: np.ndarray) -> np.ndarray:
    """Correlation from the sums of 1, x, y, xx, yy, xy in the last axis (..., 6)."""
    n, x, y, xx, yy, xy = np.moveaxis(totals, -1, 0)
    spread = (n * xx - x * x) * (n * yy - y * y)
    return quotient(n * xy - x * y, np.sqrt(np.where(spread > 1e-9 * n**4, spread, 0)))


def centred(ranks: np.ndarray) -> np.ndarray:
    return ranks - ranks.mean() if len(ranks) else ranks


def per_group(groups: pd.Series, *columns: np.ndarray) -> np.ndarray:
    """The columns, each (rows,), summed by group: (groups, columns)."""
    codes, names = pd.factorize(groups)
    return np.column_stack([np.bincount(codes, column, minlength=len(names)) for column in columns])


def quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is no whole."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
