from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from rlhf_assets.reward.plots import predicted_by_score, training_history


def colours(picture: bytes) -> int:
    """How many different colours the PNG has: a blank one has one."""
    pixels = imread(BytesIO(picture), format="png")
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))


@pytest.mark.parametrize("given", [[0.0, 0.25, 0.5, 0.75, 1.0], [1.0, 1.0, 0.0, 1.0, 0.0], [0.5] * 5])
def test_predictions_by_score_also_where_some_scores_are_missing(given: list[float]) -> None:
    picture = predicted_by_score(np.linspace(0, 1, 5), np.array(given))
    assert colours(picture) > 10
    assert picture != predicted_by_score(np.linspace(1, 0, 5) ** 2, np.array(given))


def test_history_with_and_without_validation() -> None:
    history = [
        {"epoch": 1, "train_loss": 0.2, "validation_loss": 0.15},
        {"epoch": 2, "train_loss": 0.1, "validation_loss": 0.12},
    ]
    blind = [{**row, "validation_loss": None} for row in history]
    pictures = {training_history(history, 1), training_history(history, 2), training_history(blind, 2)}
    assert len(pictures) == 3
    assert min(map(colours, pictures)) > 10
