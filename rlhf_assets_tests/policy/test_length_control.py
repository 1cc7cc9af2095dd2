import numpy as np
import pytest
from scipy.special import expit

from rlhf_assets.policy.length_control import length_controlled_win_rate, wins_at_equal_length
from rlhf_assets.statistics import win_rate


def test_who_wins_by_length_alone_wins_half():
    """Nine of ten answers are longer, and the longer one mostly wins; the plain rate takes that for quality."""
    draw = np.random.default_rng(0)
    longer = draw.normal(120, 100, 400)
    ours = (draw.random(400) < expit(3 * np.tanh(longer / longer.std()))).astype(float)
    flat = np.full(400, 0.5)
    raw = win_rate(ours, flat)
    controlled = length_controlled_win_rate(ours, flat, 300 + longer, np.full(400, 300.0))
    assert raw.low > 0.75
    assert controlled.low < 0.5 < controlled.high
    assert controlled.value == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("shift", [0.0, 0.8, 1.2])
def test_who_wins_by_length_alone_wins_half_on_average(shift: float):
    """However much longer its answers are: a slope that is held too flat would leave it a part of what length won."""
    rates = []
    for seed in range(80):
        draw = np.random.default_rng(seed)
        longer = draw.normal(shift, 1, 160)
        rates.append(wins_at_equal_length(draw.random(160) < expit(3 * np.tanh(longer / longer.std())), longer))
    assert np.mean(rates) == pytest.approx(0.5, abs=0.025)


def test_who_is_better_at_equal_length_stays_above():
    draw = np.random.default_rng(1)
    longer = draw.normal(0, 100, 400)
    ours = (draw.random(400) < expit(1 + np.tanh(longer / 100))).astype(float)
    controlled = length_controlled_win_rate(ours, np.full(400, 0.5), longer, np.zeros(400))
    assert controlled.low > 0.6
    assert controlled.value == pytest.approx(expit(1), abs=0.05)


@pytest.mark.parametrize(("mean", "deviation"), [(50.0, 0.0), (200.0, 50.0), (-150.0, 50.0)])
def test_nobody_can_tell_where_all_answers_are_longer_or_all_are_shorter(mean: float, deviation: float):
    draw = np.random.default_rng(3)
    longer = mean + deviation * draw.standard_normal(160)
    wins = (draw.random(160) < 0.8).astype(float)
    rate = length_controlled_win_rate(wins, np.full(160, 0.5), longer, np.zeros(160))
    assert np.isnan([rate.value, rate.low, rate.high]).all()


def test_resamples_that_happen_to_be_defined_tell_nothing_where_the_whole_is_not():
    """Just beyond the border half of all resamples lie within it, and would give an interval."""
    longer = 20.2 + 10 * np.resize([-1.0, 1.0], 160)
    assert np.isnan(wins_at_equal_length(np.ones(160), longer))
    assert not np.isnan(wins_at_equal_length(np.ones(159), longer[:159] - 1))
    rate = length_controlled_win_rate(np.ones(160), np.zeros(160), longer, np.zeros(160))
    assert np.isnan([rate.value, rate.low, rate.high]).all()


def test_lengths_that_are_all_equal_give_the_plain_rate():
    ours, theirs = np.array([1.0, 1.0, 1.0, 0.5, 0.0]), np.full(5, 0.5)
    plain = length_controlled_win_rate(ours, theirs, np.full(5, 100.0), np.full(5, 100.0))
    assert plain.value == pytest.approx(win_rate(ours, theirs).value, abs=1e-6)  # 3.5 of 5
    assert plain.value == pytest.approx(0.7, abs=1e-6)


def test_a_fit_worked_by_hand():
    """Both halves win as often as they differ in length by +-1: by symmetry the slope takes all of it."""
    longer = np.repeat([1.0, -1.0], 1000)
    wins = np.repeat([1.0, 0.0, 1.0, 0.0], [900, 100, 100, 900])
    assert wins_at_equal_length(wins, longer) == pytest.approx(0.5)
    wins = np.repeat([1.0, 0.0, 1.0, 0.0], [900, 100, 500, 500])  # logits 2.197 and 0, halfway 1.099
    assert wins_at_equal_length(wins, longer) == pytest.approx(0.75, abs=0.001)  # expit(1.099), less the penalty


@pytest.mark.parametrize("won", [0.0, 1.0])
def test_all_won_or_lost_stays_finite(won: float):
    draw = np.random.default_rng(2)
    rate = length_controlled_win_rate(np.full(50, won), np.full(50, 0.5), draw.normal(0, 9, 50), np.zeros(50))
    assert (rate.low, rate.value, rate.high) == pytest.approx((won, won, won), abs=1e-3)


def test_wins_that_length_separates_whole_stay_finite():
    longer = np.linspace(-1, 1, 40)
    assert wins_at_equal_length((longer > 0).astype(float), longer) == pytest.approx(0.5)
