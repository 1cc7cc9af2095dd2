"""Would more feedback help? What a cheap model learns from an eighth, a quarter, half and all of the questions."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV

from rlhf_assets.compute import Compute
from rlhf_assets.reward.evaluation import SLICE_SAMPLES, figure, spearman
from rlhf_assets.reward.head import pooled
from rlhf_assets.reward.inputs import TEXTS, encode_frame
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import starting_model

PARTS = (8, 4, 2, 1)  # an eighth of the questions, ...
DRAWS = 4  # so many different eighths, quarters, ... are averaged: one is luck
QUESTIONS, TESTED = 800, 300  # texts encoded at most, so that the curve takes seconds
PENALTIES = np.logspace(-1, 4, 11)


def learning_curve(
    train: pd.DataFrame, test: pd.DataFrame, settings: RewardSettings, compute: Compute
) -> dict[str, Any]:
    """{points: [{questions, spearman}], gain}: Spearman with the votes of `test` after so many questions of `train`.

    The model is a ridge regression on what the head of the untrained model reads: it learns from one rated text for
    each question, a sample of QUESTIONS where there are more, and is tried on up to TESTED texts. It stands for the
    reward model, whose own curve would cost as many trainings. gain is what the last doubling of the questions gave,
    with its interval over the test's questions. Both are empty (None) where there is too little to halve.
    """
    draw = np.random.default_rng(settings.seed)
    questions = draw.permutation(train["query"].unique())[:QUESTIONS]
    known = rated_texts(train[train["query"].isin(set(questions))])
    known = known.sample(frac=1, random_state=settings.seed).drop_duplicates("query")  # in random order from here on
    asked = rated_texts(test).sample(frac=1, random_state=settings.seed).head(TESTED)
    if len(known) < 2 * max(PARTS) or asked["score"].nunique() < 2:
        return {"points": [], "gain": None}
    features = read_by_head(pd.concat([known, asked]), settings, compute)
    x, unseen = features[: len(known)], features[len(known) :]
    y, given, query = known["score"].to_numpy(), asked["score"].to_numpy(), asked["query"].to_numpy()
    said = {
        parts: [
            RidgeCV(PENALTIES).fit(x[own], y[own]).predict(unseen)
            for own in np.array_split(np.arange(len(known)), parts)[:DRAWS]
        ]
        for parts in PARTS
    }
    half = len(said[2])
    estimate = partial(figure, groups=query, seed=settings.seed, samples=SLICE_SAMPLES)
    return {
        "points": [
            {"questions": len(known) // parts, "spearman": estimate(mean_spearman, given, *predicted)}
            for parts, predicted in said.items()
        ],
        "gain": estimate(
            lambda given, *both: mean_spearman(given, *both[half:]) - mean_spearman(given, *both[:half]),
            given,
            *said[2],
            *said[1],
        ),
    }


def mean_spearman(given: np.ndarray, *predicted: np.ndarray) -> float:
    return float(np.mean([spearman(each, given) for each in predicted]))


def rated_texts(votes: pd.DataFrame) -> pd.DataFrame:
    """Each text once with its mean score."""
    return votes.groupby(TEXTS, sort=False)["score"].mean().reset_index()


def read_by_head(texts: pd.DataFrame, settings: RewardSettings, compute: Compute) -> np.ndarray:
    """What the head of the untrained model reads of each text, (n, width), each column of unit variance."""
    torch.manual_seed(settings.seed)  # what some classes have before their head is new, and read by it
    model, tokenizer = starting_model(settings.model_copy(update={"model_path": None}), compute)
    read = pooled(model, tokenizer, compute, encode_frame(tokenizer, texts)).cpu().numpy().astype(np.float64)
    return (read - read.mean(axis=0)) / np.maximum(read.std(axis=0), 1e-6)
