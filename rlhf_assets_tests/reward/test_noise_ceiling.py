import numpy as np
import pandas as pd
import pytest

from rlhf_assets.reward.evaluation import spearman
from rlhf_assets.reward.noise_ceiling import noise_ceiling


def rated(texts: int, people: int, noise: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Votes of as many people on each text, and what they would give on average, row by row."""
    draw = np.random.default_rng(0)
    liked = np.repeat(draw.normal(scale=1.0, size=texts), people)
    text = [f"text {i // people}" for i in range(texts * people)]
    frame = pd.DataFrame({"response": text, "score": liked + draw.normal(scale=noise, size=len(text))})
    same = {"kind": "message", "query": "which?", "context": "[]", "steps_before": "[]"}
    return frame.assign(user_id=[f"user {i}" for i in range(len(text))], **same), liked


def test_it_is_what_the_expected_rating_reaches() -> None:
    votes, liked = rated(400, 3, noise=1.2)
    found = noise_ceiling(votes)
    score = votes["score"].to_numpy()
    assert found["spearman"]["low"] < spearman(liked, score) < found["spearman"]["high"]
    assert found["mse"]["low"] < np.mean((liked - score) ** 2) < found["mse"]["high"]
    assert (found["answers"], found["people"], found["votes"]) == (400, 1200, 1200)


def test_without_noise_everything_can_be_known_and_with_nothing_else_nothing() -> None:
    assert noise_ceiling(rated(50, 2, noise=0.0)[0])["spearman"]["value"] == pytest.approx(1.0)
    only_noise = rated(50, 2, noise=1.0)[0].assign(score=lambda votes: [0.0, 1.0] * 50)
    assert noise_ceiling(only_noise)["spearman"]["value"] == 0.0


def test_votes_of_nobody_in_particular_are_of_different_people() -> None:
    votes = rated(30, 2, noise=0.5)[0]
    assert noise_ceiling(votes.assign(user_id=None))["answers"] == 30
    alone = noise_ceiling(votes.assign(response=[str(i) for i in range(60)]))
    assert (alone["spearman"], alone["mse"], alone["answers"]) == (None, None, 0)
