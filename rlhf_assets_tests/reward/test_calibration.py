import numpy as np
import pytest

from rlhf_assets.reward.calibration import fit_line


def test_a_line_is_found_again() -> None:
    raw = np.array([0.1, 0.4, 0.5, 0.9])
    assert fit_line(raw, 0.5 * raw + 0.2, np.ones(4)) == pytest.approx({"gain": 0.5, "bias": 0.2})


def test_it_is_the_least_squares_line() -> None:
    draw = np.random.default_rng(0)
    raw = draw.normal(size=50)
    given = raw + draw.normal(size=50)
    weight = draw.uniform(0.3, 3, size=50)
    gain, bias = np.polyfit(raw, given, 1, w=np.sqrt(weight))
    assert fit_line(raw, given, weight) == pytest.approx({"gain": gain, "bias": bias})


@pytest.mark.parametrize("raw", [[3.0, 2.0, 1.0], [0.7, 0.7, 0.7], [0.7, 0.7 + 1e-9, 0.7 + 2e-9]])
def test_a_model_that_orders_wrongly_or_not_at_all_says_the_mean(raw: list[float]) -> None:
    assert fit_line(np.array(raw), np.array([0.0, 0.5, 1.0]), np.ones(3)) == {"gain": 0.0, "bias": 0.5}


def test_without_rows_the_raw_output_stands() -> None:
    assert fit_line(np.empty(0), np.empty(0), np.empty(0)) == {"gain": 1.0, "bias": 0.0}
