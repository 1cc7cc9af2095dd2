"""Too many at once: where a group meets many different members within a short time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def bursts(group: pd.Series, member: pd.Series, moment: pd.Series, members: int, span: timedelta) -> pd.Series:
    """Marks the rows of each stretch of at most `span` in which a group meets at least `members` distinct members.

    `group` and `member` are codes, `moment` is in UTC; all three and the result have one index, in any order.
    """
    import numpy as np
    import pandas as pd

    groups, members_met, moments = group.to_numpy(), member.to_numpy(), moment.dt.tz_localize(None).to_numpy()
    _, own, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    crowded = np.flatnonzero(sizes[own] >= members)
    order = crowded[np.lexsort((moments[crowded], groups[crowded]))]
    groups, members_met, moments = groups[order], members_met[order], moments[order]

    def close(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return (groups[first] == groups[last]) & (moments[last] - moments[first] <= np.timedelta64(span))

    # a member met again within the span is no other member; the others are counted by their place in the group
    by_member = np.lexsort((np.arange(len(order)), members_met, groups))
    before, after = by_member[:-1], by_member[1:]
    again = np.zeros(len(order), dtype=bool)
    again[after[(members_met[before] == members_met[after]) & close(before, after)]] = True
    place = np.flatnonzero(~again)
    first, last = place[: max(0, len(place) - members + 1)], place[members - 1 :]
    enough = close(first, last)
    edges = np.zeros(len(order) + 1, dtype="int64")
    np.add.at(edges, first[enough], 1)
    np.add.at(edges, last[enough] + 1, -1)
    marked = np.zeros(len(group), dtype=bool)
    marked[order] = edges.cumsum()[:-1] > 0
    return pd.Series(marked, index=group.index)
