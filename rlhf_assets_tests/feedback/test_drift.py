"""The PSI by hand; planted shifts that are found, and what must not be taken for one."""

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.drift import WATCHED, drift, psi_terms


def votes(week: str, people: int = 100, each: int = 3, seed: int = 0, **columns: object) -> pd.DataFrame:
    """A week's votes in the shape of `votes_of`: the same people, segments by person, the rest drawn for every vote."""
    draw, n = np.random.default_rng([seed, int(week[-2:])]), people * each
    person = np.repeat(np.arange(people), each)
    return pd.DataFrame(
        {
            "week": week,
            "rater": person.astype(str),
            "is_thumb": draw.random(n) < 0.3,
            "score": draw.integers(0, 2, n).astype(float),
            "characters": draw.integers(20, 500, n),
            "segment": np.array(["farmer", "student", "worker"])[person % 3],
            "model_version": np.array(["v1", "v2"])[draw.integers(0, 2, n)],
        }
    ).assign(**columns)


def certain(now: pd.DataFrame, before: pd.DataFrame) -> set[str]:
    """What has shifted by the usual measure and beyond chance."""
    found = drift(now, before, minimum_votes=100)
    return {name for name, of in found.items() if of and of["psi"] >= 0.1 and of["p"] <= 0.01}  # type: ignore[operator]


NOW, BEFORE = "2026-11-15", "2026-11-08"


def test_the_index_by_hand() -> None:
    p, q = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    expected = 0.3 * np.log(0.8 / 0.5) + -0.3 * np.log(0.2 / 0.5)
    assert psi_terms(p * 1e9, q * 1e9).sum() == pytest.approx(expected)
    assert psi_terms(np.array([99, 0]), np.array([0, 99])).sum() == pytest.approx(2 * 0.99 * np.log(199))


def test_what_stays_the_same_has_not_shifted() -> None:
    for seed in range(20):
        assert certain(votes(NOW, seed=seed), votes(BEFORE, seed=seed)) == set()
    now = votes(NOW)
    same = drift(now, now.assign(week=BEFORE), 100)
    assert all(of and of["psi"] == pytest.approx(0) and of["p"] == 1 for of in same.values())


@pytest.mark.parametrize(
    ("name", "moved", "change"),
    [
        ("ratings", "score 5", {"is_thumb": False, "score": 1.0}),
        ("answer_lengths", "512 to 1023", {"characters": 600}),
        ("segments", "student", {"segment": "worker"}),
        ("model_versions", "v3", {"model_version": "v3"}),
    ],
)
def test_a_planted_shift_is_found_by_its_name(name: str, moved: str, change: dict) -> None:
    now = votes(NOW)
    concerned = now["segment"] == "student" if name == "segments" else now.index % 3 > 0
    now.loc[concerned, list(change)] = list(change.values())
    assert certain(now, votes(BEFORE)) == {name}
    found = drift(now, votes(BEFORE), 100)[name]
    assert found is not None
    assert found["moved"]["name"] == moved  # type: ignore[index]


def test_a_segment_that_vanishes_is_found() -> None:
    now, before = votes(NOW), votes(BEFORE)
    found = drift(now[now["segment"] != "farmer"], before, 100)["segments"]
    assert found is not None
    assert found["psi"] > 0.25  # type: ignore[operator]
    assert found["moved"] == {"name": "farmer", "before": pytest.approx(0.34), "now": 0}


def test_one_busy_person_is_no_shift_of_all() -> None:
    """As many votes as everybody else's together, all alike: a large index that comes about by who is drawn."""
    now = votes(NOW)
    busy = now.assign(rater="busy", segment="farmer", model_version="v1", score=0.0, is_thumb=True, characters=100)
    found = drift(pd.concat([now, busy], ignore_index=True), votes(BEFORE), 100)
    assert found["ratings"] is not None
    assert found["ratings"]["psi"] > 0.25  # type: ignore[operator]
    assert found["ratings"]["p"] > 0.1  # type: ignore[operator]


def test_few_votes_are_not_compared() -> None:
    enough, few = votes(NOW, people=34), votes(BEFORE, people=33)
    assert drift(enough, few, 100) == drift(few, enough, 100) == dict.fromkeys(WATCHED)
