import numpy as np
import pytest

from rlhf_assets.statistics import Interval, bootstrap, win_rate


def average(values: np.ndarray) -> float:
    return float(np.mean(values))


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap(average, values)
    error = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - error, abs=0.05)
    assert found.high == pytest.approx(values.mean() + error, abs=0.05)


def test_it_covers_the_truth_about_nineteen_times_in_twenty() -> None:
    draw = np.random.default_rng(1)
    found = [bootstrap(average, draw.normal(size=50), seed=i, samples=200) for i in range(200)]
    assert 0.88 <= np.mean([interval.low <= 0 <= interval.high for interval in found]) <= 0.98


def test_whole_groups_are_drawn() -> None:
    values = np.repeat([0.0, 1.0], 50)
    alone = bootstrap(average, values)
    together = bootstrap(average, values, groups=np.repeat(["a", "b"], 50))
    assert (together.low, together.high) == (0.0, 1.0)
    assert alone.high - alone.low < 0.25
    seen = bootstrap(lambda rows: float(len(np.unique(rows)) % 3), np.arange(9), groups=np.arange(9) // 3)
    assert (seen.low, seen.high) == (0.0, 0.0)  # a group's three rows come together or not at all


def test_groups_need_not_lie_together() -> None:
    values, groups = np.tile([0.0, 1.0], 50), np.tile(["a", "b"], 50)
    assert bootstrap(average, values, groups=groups).high == 1.0


def test_arrays_are_drawn_alike() -> None:
    values = np.random.default_rng(0).normal(size=100)
    found = bootstrap(lambda left, right: float(np.max(np.abs(left - right))), values, values)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=30)
    assert bootstrap(average, values, seed=1) == bootstrap(average, values, seed=1)
    assert bootstrap(average, values, seed=1) != bootstrap(average, values, seed=2)


def test_resamples_without_a_value_are_left_out() -> None:
    def spread(values: np.ndarray) -> float:
        return float("nan") if np.ptp(values) == 0 else float(np.ptp(values))

    assert bootstrap(spread, np.array([0.0, 1.0])) == Interval(1.0, 1.0, 1.0)


def test_a_win_counts_one_and_a_tie_one_half() -> None:
    ours, theirs = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert win_rate(ours, theirs).value == 2.5 / 4


def test_win_rates_are_paired() -> None:
    hard = np.random.default_rng(0).normal(scale=10, size=60)  # how hard a prompt is matters more than who answers
    found = win_rate(hard + 0.1, hard)
    assert found == Interval(1.0, 1.0, 1.0)


def test_an_interval_as_plain_values() -> None:
    assert Interval(0.5, 0.25, 0.75).as_dict() == {"value": 0.5, "low": 0.25, "high": 0.75}
