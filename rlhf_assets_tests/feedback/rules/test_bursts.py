"""Bursts against the plain definition."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.rules.bursts import bursts
from rlhf_assets_tests.feedback.votes import START


def test_by_hand() -> None:
    def marked(rows: list[tuple[int, int, int]], members: int, seconds: int) -> list[bool]:
        group, member, second = (pd.Series(column) for column in zip(*rows, strict=True))
        return bursts(group, member, START + pd.to_timedelta(second, "s"), members, timedelta(seconds=seconds)).tolist()

    assert marked([(0, 0, 0), (0, 1, 5), (0, 2, 10), (0, 3, 30)], 3, 10) == [True, True, True, False]
    assert marked([(0, 0, 0), (0, 1, 5), (0, 2, 10)], 3, 9) == [False] * 3
    assert marked([(0, 0, 0), (0, 1, 5), (1, 2, 6)], 3, 10) == [False] * 3  # another group's
    assert marked([(0, 0, 0), (0, 0, 5), (0, 1, 10)], 3, 10) == [False] * 3  # a member again
    assert marked([(0, 2, 10), (0, 0, 0), (0, 1, 5), (0, 0, 7)], 3, 10) == [True] * 4  # in any order
    assert marked([(0, 0, 0)], 2, 10) == [False]


@pytest.mark.parametrize("seed", range(20))
def test_each_member_once_as_in_a_plain_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n, members, span = 60, 3, timedelta(seconds=4)
    group, second = (pd.Series(draw.integers(0, high, n)) for high in (3, 60))
    member = pd.Series(np.arange(n))
    moment = START + pd.to_timedelta(second, "s")
    expected = [
        any(
            start <= second[i] <= start + 4
            and len({member[j] for j in range(n) if group[j] == group[i] and start <= second[j] <= start + 4})
            >= members
            for start in range(-4, 61)
        )
        for i in range(n)
    ]
    assert bursts(group, member, moment, members, span).tolist() == expected
