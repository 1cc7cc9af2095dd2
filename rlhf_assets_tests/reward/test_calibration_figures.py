import json

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.reward.calibration_figures import SURE, bins, calibration, ece, logit, thumbs

DRAW = np.random.default_rng(0)
CHANCE = DRAW.uniform(0.05, 0.95, 2000)
UP = (DRAW.uniform(size=2000) < CHANCE).astype(float)
THUMBS = pd.DataFrame({"score": UP, "is_thumb": True, "query": [f"question {i // 2}" for i in range(2000)]})


def test_ece_worked_by_hand() -> None:
    which, predicted, given = np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 0.5])
    assert ece(which, predicted, given) == pytest.approx((2 * 0.2 + 2 * 0.05) / 4)


def test_bins_hold_equally_many_votes_and_never_part_equal_predictions() -> None:
    assert np.bincount(bins(CHANCE)).tolist() == [200] * 10
    assert set(bins(CHANCE[:99])) == {0}, "of 50 votes at least"
    steps = np.repeat([0.2, 0.8], 500)
    assert len(np.unique(bins(steps))) == 2
    assert len(np.unique(bins(np.full(500, 0.3)))) == 1


@pytest.mark.parametrize(("shift", "error"), [(0.0, 0.0), (0.1, 0.1), (-0.2, 0.2)])
def test_a_shift_is_found_and_what_means_what_it_says_has_none(shift: float, error: float) -> None:
    found = calibration(CHANCE + shift, THUMBS)
    assert found["ece"]["value"] == pytest.approx(error, abs=0.03)
    assert found["ece"]["low"] <= found["ece"]["value"] <= found["ece"]["high"]
    assert len(found["bins"]) == 10
    inside = [of["given"]["low"] <= of["predicted"] - shift <= of["given"]["high"] for of in found["bins"]]
    assert sum(inside) >= 8


def test_a_logistic_on_validation_mends_thumbs_that_the_score_understates() -> None:
    timid = 0.5 + 0.3 * (CHANCE - 0.5)  # the right order, but nearly the same of all
    found = thumbs((timid, UP), timid, THUMBS)
    assert found["votes"] == 2000
    assert found["temperature"] < 0.5
    assert found["ece_before"]["low"] > 0.1
    assert found["ece_after"]["high"] < 0.06
    again = thumbs((CHANCE, UP), CHANCE, THUMBS)
    assert (again["temperature"], again["bias"]) == pytest.approx((1.0, 0.0), abs=0.15)


@pytest.mark.parametrize(
    "fitted_on",
    [(np.empty(0), np.empty(0)), (CHANCE, np.ones(2000)), (1 - CHANCE, UP), (np.full(2000, 0.4), UP)],
    ids=["no thumbs", "one kind", "wrong order", "no order"],
)
def test_without_a_logistic_there_is_no_temperature(fitted_on: tuple[np.ndarray, np.ndarray]) -> None:
    found = thumbs(fitted_on, CHANCE, THUMBS)
    assert (found["temperature"], found["bias"], found["ece_after"]) == (None, None, None)
    assert found["ece_before"]["value"] is not None


def test_nothing_to_tell_from_is_plain_json() -> None:
    none, nan = np.empty(0), np.full(3, np.nan)
    for predicted, test in ((none, THUMBS.iloc[:0]), (nan, THUMBS.iloc[:3])):
        found = [calibration(predicted, test), thumbs((CHANCE, UP), predicted, test)]
        json.dumps(found, allow_nan=False)
        assert found[0]["ece"]["value"] is None
    assert calibration(nan, THUMBS.iloc[:3])["bins"] == []
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert logit(np.array([0.0]))[0] == pytest.approx(np.log(SURE / (1 - SURE)))
