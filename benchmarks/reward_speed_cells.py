"""What reward_speed measures, each in a process: `python -m benchmarks.reward_speed_cells NAME FOLDER COUNT`.

FOLDER holds train.parquet, validation.parquet and test.parquet, and takes the trained model; COUNT is the number of
steps to time, or of epochs to train in full. The last line of output is what was found, as JSON.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks import guide_recipe
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import choose_compute, peak_memory_mb
from rlhf_assets.reward.inputs import TEXTS, encode, pair
from rlhf_assets.reward.loading import load_classifier
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import starting_model, train_reward
from rlhf_assets.storage.models import resolve_model

SEED = 0
WARM_UP = 3  # steps of the guide's; ours warms up for a whole epoch
FEW = 8  # validation votes while steps are timed: judging them is not what is measured
SCORED = 512  # texts


def train_ours(folder: Path, steps: int) -> dict[str, Any]:
    """Two epochs; all steps of the second but its first are timed, before which the loop validates."""
    settings, compute = RewardSettings(epochs=2), choose_compute()
    votes = votes_on(votes_of(folder, "train"), (1 + steps) * settings.batch_size)
    few = votes_of(folder, "validation").head(FEW)
    with tempfile.TemporaryDirectory() as name:
        moments, beside = step_moments(lambda: train_reward(votes, few, settings, compute, Path(name)))
        shutil.copytree(name, folder / "model", dirs_exist_ok=True)  # the one that is asked for scores
    epoch = len(moments) // 2
    seconds_an_epoch = (moments[-1] - moments[epoch]) * epoch / (epoch - 1)
    texts = votes.drop_duplicates(TEXTS)
    return {
        "texts_per_second": len(texts) / seconds_an_epoch,
        "votes_per_second": len(votes) / seconds_an_epoch,
        "tokens_per_second": tokens(texts, settings) / seconds_an_epoch,
        "milliseconds_per_step": 1000 * seconds_an_epoch / epoch,
        "steps": epoch - 1,
        "seconds_beside": beside,
        "precision": compute.precision,
    }


def train_guide(folder: Path, steps: int) -> dict[str, Any]:
    """WARM_UP steps and then that many timed ones, within one epoch."""
    texts = (WARM_UP + steps) * guide_recipe.BATCH
    votes, few = votes_on(votes_of(folder, "train"), texts), votes_of(folder, "validation").head(FEW)
    with tempfile.TemporaryDirectory() as name:
        moments, beside = step_moments(
            lambda: guide_recipe.train(segments(votes), segments(few), base_model(), Path(name), steps=WARM_UP + steps)
        )
    seconds = moments[-1] - moments[WARM_UP - 1]
    return {
        "texts_per_second": steps * guide_recipe.BATCH / seconds,
        "milliseconds_per_step": 1000 * seconds / steps,
        "steps": steps,
        "seconds_beside": beside,
        "precision": "fp32",
    }


def score_ours(folder: Path, _: int, precision: str = "auto") -> dict[str, Any]:
    compute = choose_compute(precision=precision)
    scorer = RewardScorer(folder / "model", compute)
    found = timed_scores(lambda some: scorer.score(*texts_of(some)), votes_of(folder, "test"))
    return {**found, "precision": compute.precision}


def score_ours_in_fp32(folder: Path, count: int) -> dict[str, Any]:
    return score_ours(folder, count, "fp32")


def score_guide(folder: Path, _: int) -> dict[str, Any]:
    scorer = guide_recipe.OneByOne(folder / "model")
    return timed_scores(scorer.score, segments(votes_of(folder, "test")))


def full_ours(folder: Path, epochs: int) -> dict[str, Any]:
    compute = choose_compute()
    rows, few = votes_of(folder, "train"), votes_of(folder, "validation")
    checkpoint = folder / "training.pt"
    train_reward(rows, few, RewardSettings(epochs=epochs), compute, folder, checkpoint=checkpoint)
    return {"scores": RewardScorer(folder, compute).score(*texts_of(votes_of(folder, "test"))).tolist()}


def full_guide(folder: Path, epochs: int) -> dict[str, Any]:
    train, validation, test = (segments(votes_of(folder, side)) for side in ("train", "validation", "test"))
    guide_recipe.train(train, validation, base_model(), folder, epochs=epochs, padding=False)
    return {"scores": guide_recipe.OneByOne(folder).score(test).tolist()}


def matrix_rate(_: Path, __: int) -> dict[str, Any]:
    """The device's best rate of bf16 products, in operations per second, and how many weights meet each token: of the
    last layer key and value alone, since the rest of it is made of the first token."""
    device = choose_compute().device
    size = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _attempt in range(20):
        start = time.perf_counter()
        (left @ right)[0, 0].item()
        best = min(best, time.perf_counter() - start)
    encoder: Any = starting_model(RewardSettings(), choose_compute())[0].base_model
    *layers, last = encoder.encoder.layer
    linear = [one for layer in layers for one in layer.modules() if isinstance(one, nn.Linear)]
    weights = sum(one.weight.numel() for one in (*linear, last.attention.self.key, last.attention.self.value))
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return {"device": name, "operations_per_second": 2 * size**3 / best, "weights": weights}


def votes_of(folder: Path, side: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{side}.parquet")


def texts_of(votes: pd.DataFrame) -> tuple[list[str], list[str], list[str], list[str]]:
    """As our functions take them."""
    query, response, context, steps_before = (votes[name].tolist() for name in TEXTS)
    return query, response, context, steps_before


def votes_on(votes: pd.DataFrame, texts: int) -> pd.DataFrame:
    """All votes on that many distinct texts, of whole questions as far as possible, drawn at random."""
    questions = votes["query"].drop_duplicates().sample(frac=1, random_state=SEED)
    drawn = votes.set_index("query").loc[questions].reset_index()
    return drawn.merge(drawn[TEXTS].drop_duplicates().head(texts), on=TEXTS)


def segments(votes: pd.DataFrame) -> pd.DataFrame:
    """With the columns first and second, the texts as our model reads them."""
    made = [pair(*texts) for texts in votes[TEXTS].itertuples(index=False, name=None)]
    return votes.assign(first=[first for first, _ in made], second=[second for _, second in made])


def tokens(texts: pd.DataFrame, settings: RewardSettings) -> int:
    tokenizer = load_classifier(settings.base_model, settings.max_length, trained=False)[1]
    return sum(len(row["input_ids"]) for row in encode(tokenizer, *texts_of(texts)))


def base_model() -> str:
    return resolve_model(RewardSettings().base_model)


def step_moments(training: Callable[[], object]) -> tuple[list[float], float]:
    """When each step of `training`'s AdamW was done, in seconds, and the seconds before the first and after the last.

    Those of LBFGS, by which ours fits heads and lines, are no steps of the model.
    """
    moments: list[float] = []

    def now(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if not isinstance(optimizer, torch.optim.AdamW):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        moments.append(time.perf_counter())

    hook = register_optimizer_step_post_hook(now)
    start = time.perf_counter()
    training()
    end = time.perf_counter()
    hook.remove()
    return moments, moments[0] - start + end - moments[-1]


def timed_scores(score: Callable[[pd.DataFrame], np.ndarray], votes: pd.DataFrame) -> dict[str, Any]:
    texts = votes.drop_duplicates(TEXTS).head(SCORED)
    score(texts.head(SCORED // 8))  # warm-up
    start = time.perf_counter()
    scores = score(texts)
    return {"texts_per_second": len(texts) / (time.perf_counter() - start), "scores": scores.tolist()}


def peak_memory() -> dict[str, float]:
    found = {"memory_mb": peak_memory_mb()}
    if torch.cuda.is_available():
        found["device_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return found


CELLS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "train-ours": train_ours,
    "train-guide": train_guide,
    "score-ours": score_ours,
    "score-ours-fp32": score_ours_in_fp32,
    "score-guide": score_guide,
    "full-ours": full_ours,
    "full-guide": full_guide,
    "matrix-rate": matrix_rate,
}

if __name__ == "__main__":
    show_progress()
    torch.manual_seed(SEED)  # the guide's new head; ours has a seed of its own
    cell, place, number = sys.argv[1:]
    print(json.dumps({**CELLS[cell](Path(place), int(number)), **peak_memory()}))  # noqa: T201
