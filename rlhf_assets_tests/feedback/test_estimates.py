"""Estimates against scipy and by hand, and intervals that do not mistake a person's many votes for many people."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from rlhf_assets.feedback.estimates import correlation, share


def people(number: int, votes: int = 1) -> pd.Series:
    return pd.Series(np.repeat(np.arange(number), votes).astype(str))


def width(estimate: dict | None) -> float:
    assert estimate is not None
    return estimate["high"] - estimate["low"]


def test_a_share_by_hand() -> None:
    part, whole = pd.Series([True, True, False, True]), pd.Series([True, True, True, False])
    assert share(part, whole, people(4)) == {"value": pytest.approx(2 / 3), "low": None, "high": None}
    assert share(part, ~whole & whole, people(4)) is None


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    part = pd.Series(np.arange(400) % 4 == 0)
    found = share(part, part | True, people(400))
    assert width(found) == pytest.approx(2 * 1.96 * np.sqrt(0.25 * 0.75 / 400), rel=0.1)


def test_more_votes_of_the_same_people_tell_nothing_new() -> None:
    part = pd.Series(np.arange(100) % 4 == 0)
    once = share(part, part | True, people(100))
    often = part.repeat(9).reset_index(drop=True)
    assert share(often, often | True, people(100, 9)) == pytest.approx(once)


def test_a_correlation_is_scipys() -> None:
    draw = np.random.default_rng(0)
    x, y = (pd.Series(draw.integers(0, 9, 300)) for _ in range(2))
    found = correlation(x, x + y, people(300))
    assert found is not None
    assert found["value"] == pytest.approx(spearmanr(x, x + y).statistic)
    assert found["low"] < found["value"] < found["high"]
    assert width(found) == pytest.approx(2 * 1.96 * (1 - found["value"] ** 2) / np.sqrt(300), rel=0.25)


@pytest.mark.parametrize("votes", [0, 1, 50])
def test_no_correlation_without_variety(votes: int) -> None:
    constant = pd.Series(np.ones(votes))
    assert correlation(constant, pd.Series(np.arange(votes)), people(votes)) is None
