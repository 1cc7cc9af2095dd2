"""Pictures are pictures, whatever the names in them."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.plots import quarantine_reasons, score_distribution, votes_per_segment
from rlhf_assets_tests.feedback.votes import clean_frame, frame, step_vote, vote


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG")
    return imread(BytesIO(png))


def test_pictures_show_the_data() -> None:
    few, many = clean_frame(vote(0)), clean_frame(vote(0), step_vote(1, feedback=None, feedback_score=2))
    assert (pixels(score_distribution(few)) != pixels(score_distribution(many))).any()
    one, two = ({"reason": pd.Series(reasons, dtype="str")} for reasons in (["copy"], ["copy", "copy", "no_query"]))
    assert (pixels(quarantine_reasons(pd.DataFrame(one))) != pixels(quarantine_reasons(pd.DataFrame(two)))).any()


def test_kinds_are_stacked() -> None:
    image = pixels(score_distribution(clean_frame(vote(0), step_vote(1))))[..., :3] * 255
    blue, orange = ((abs(image - colour) < 3).all(axis=-1).sum() for colour in ((31, 119, 180), (255, 127, 14)))
    assert blue == pytest.approx(orange, rel=0.05)


def test_pictures_of_nothing() -> None:
    pixels(score_distribution(clean_frame()))
    pixels(quarantine_reasons(pd.DataFrame({"reason": pd.Series([], dtype="str")})))
    pixels(votes_per_segment(frame()))


@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_segment_name_can_be_drawn() -> None:
    names = ["$x^{$", "\\frac", "مرحبا", "😀" * 200, "<b>", "", None, "a\nb", *(f"segment {i}" for i in range(30))]
    png = votes_per_segment(frame(*(vote(i, segment=name) for i, name in enumerate(names))))
    assert pixels(png).shape == pixels(votes_per_segment(frame(vote(0)))).shape
