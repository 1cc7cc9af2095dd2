"""Intervals by resampling: what a figure would have been on other rows of the same kind."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A figure with the 2.5 % and 97.5 % quantiles of its bootstrap distribution."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def bootstrap(
    statistic: Callable[..., float],
    *arrays: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
    samples: int = 1000,
) -> Interval:
    """Percentile bootstrap (Efron 1979) of `statistic(*arrays)`; all arrays have shape (n,).

    With `groups` (n,) whole groups are drawn, since rows that share a query are not independent.
    A resample on which the statistic is undefined (NaN) is left out.
    """
    draw = np.random.default_rng(seed)
    n = len(arrays[0])
    _, codes = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    values = []
    for _ in range(samples):
        rows = np.concatenate([members[i] for i in draw.integers(0, len(members), len(members))])
        values.append(statistic(*(array[rows] for array in arrays)))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Interval(float(statistic(*arrays)), float(low), float(high))


def win_rate(ours: np.ndarray, theirs: np.ndarray, seed: int = 0, samples: int = 2000) -> Interval:
    """How often `ours` scores above `theirs` on the same prompt, both (n,); a tie counts one half."""
    wins = (ours > theirs) + 0.5 * (ours == theirs)
    return bootstrap(lambda w: float(np.mean(w)), wins.astype(float), seed=seed, samples=samples)
