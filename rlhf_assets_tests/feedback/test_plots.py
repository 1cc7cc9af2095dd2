"""Pictures are pictures, whatever the names in them."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.audit import votes_of
from rlhf_assets.feedback.plots import BEFORE, NOW, balance, distribution, pictures, quarantine_reasons
from rlhf_assets_tests.feedback.votes import WEEK, clean_frame, vote


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG")
    return imread(BytesIO(png))


def area(png: bytes, colour: str) -> int:
    """How many pixels have that colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((abs(pixels(png)[..., :3] * 255 - rgb) < 3).all(axis=-1).sum())


def names(*values: str) -> pd.Series:
    return pd.Series(values, dtype="str")


def test_shares_of_this_week_stand_beside_those_of_the_look_back() -> None:
    alike = distribution(names("a", "b"), names("a", "a", "b", "b"), "Segments", ordered=False)
    assert area(alike, NOW) == pytest.approx(area(alike, BEFORE), rel=0.05)
    shifted = distribution(names("a", "a"), names("a", "a", "b", "b"), "Segments", ordered=False)
    assert (pixels(alike) != pixels(shifted)).any()


def test_a_week_more_is_drawn() -> None:
    week = {"positive_share": {"value": 0.5, "low": 0.4, "high": 0.6}}
    unsure = {"positive_share": {"value": 0.5, "low": None, "high": None}}
    drawn = [
        balance(weeks)
        for weeks in ({"2026-11-15": week}, {"2026-11-15": unsure}, {"2026-11-08": week} | {"2026-11-15": week})
    ]
    assert len(set(drawn)) == 3


def test_reasons_are_drawn() -> None:
    one, two = (pd.DataFrame({"reason": names(*reasons)}) for reasons in (["copy"], ["copy", "copy", "no_query"]))
    assert (pixels(quarantine_reasons(one)) != pixels(quarantine_reasons(two))).any()


def test_pictures_of_nothing() -> None:
    drawn = pictures(WEEK, votes_of(clean_frame()), {WEEK: {"positive_share": None}}, pd.DataFrame({"reason": names()}))
    assert len(drawn) == 6
    for png in drawn.values():
        pixels(png)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_segment_name_can_be_drawn() -> None:
    odd = ["$x^{$", "\\frac", "مرحبا", "😀" * 200, "<b>", "", None, "a\nb", "_x", *(f"segment {i}" for i in range(30))]
    votes = votes_of(clean_frame(*(vote(i, segment=name) for i, name in enumerate(odd))))
    png = distribution(votes["segment"], votes["segment"], "Segments", ordered=False)
    assert pixels(png).shape == pixels(distribution(names("a"), names("a"), "Segments", ordered=False)).shape
