"""The gold taste: hand-worked values, and not a disguise of length and stopping."""

import numpy as np
import pytest

from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.demo.summary import explained_by_shape
from rlhf_assets.demo.taste import fresh, on_topic, plain, practical, step_taste, stepwise, taste, words_of

QUERY = "Which grants or loans help renters with home insulation?"


def test_taste_by_hand() -> None:
    answer = "1. Apply for a state grant.\n2. Ask renters what insulation costs."
    # practical: appl, grant, cost = 3 of 6; on topic: grant, rente, insul of grant, loans, help, rente, home, insul
    assert taste(QUERY, answer) == pytest.approx(0.35 * 3 / 6 + 0.2 * 3 / 6 + 0.2 + 0.1 + 0.1 + 0.05)


def test_step_taste_by_hand() -> None:
    # practical: loan, afford = 2 of 3; on topic: loans of six; one filler word; unfinished
    assert step_taste(QUERY, "Compare loans; it is important to afford them") == pytest.approx(
        0.45 * 2 / 3 + 0.25 * 1 / 6 + 0.15 * 2 / 3 + 0.1
    )


def test_parts() -> None:
    assert practical(words_of("jobs and wages, jobs again"), enough=2) == 1.0
    assert on_topic("What about them?", ["anything"]) == 0.0
    assert plain(words_of("crucial, various, overall, however")) == 0.0
    assert fresh(["a", "b", "c", "a", "b", "c"]) == pytest.approx(2 * 3 / 4 - 1)
    assert stepwise("No numbers here.") == 0.0
    assert stepwise("1. One.\n2. Two.") == 1.0
    assert stepwise("1. Only one.") == 0.4
    assert taste(QUERY, "") == step_taste(QUERY, " ") == 0.0


def test_taste_is_not_length_and_stopping() -> None:
    assert explained_by_shape() <= 0.5
    assert np.std([taste(a["query"], a["response"]) for a in read_lines(ANSWERS)]) > 0.1
