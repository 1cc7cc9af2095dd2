"""Regression of a pretrained model on normalised scores, answers and steps alike, in a loop of our own."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.errors import RlhfError
from rlhf_assets.progress import Progress
from rlhf_assets.reward.calibration import fit_line
from rlhf_assets.reward.inputs import Features, encode
from rlhf_assets.reward.loading import head, load_classifier, quietly
from rlhf_assets.reward.scoring import CALIBRATION, outputs
from rlhf_assets.reward.settings import RewardSettings

SCORING_BATCH = 64
GRADIENT_NORM = 1.0
STRICTNESS_PRIOR = 10.0  # votes; one vote varies about ten times as much as raters' means do
TEXTS = ("query", "response", "context", "steps_before")  # what the model reads of a vote
GROUP = 50  # batches sorted by length together: little padding, and still another order each epoch


@dataclass(frozen=True)
class TrainingOutcome:
    """`history` holds {epoch, train_mse, validation_mse} from epoch 1 on; validation_mse is None without such votes.

    train_mse is against each text's weighted mean vote, corrected for its raters' strictness; validation_mse against
    the votes.
    """

    history: list[dict[str, float | None]]
    best_epoch: int
    seconds: float


def train_reward(
    train: pd.DataFrame, validation: pd.DataFrame, settings: RewardSettings, compute: Compute, folder: Path
) -> TrainingOutcome:
    """Train on `train`, keep the epoch with the lowest MSE on `validation`, save it to `folder`.

    Both frames have columns query, response, context, steps_before (JSON texts) and score in [0, 1], a row a vote;
    `train` has user_id (None where nobody knows) and is_thumb too. `folder` gets a plain
    AutoModelForSequenceClassification with one output, its tokenizer and calibration.json, and nothing at all when
    training fails. The same seed gives the same weights on one machine's CPU. Raises RlhfError when the loss is no
    longer finite or the model cannot be loaded.
    """
    started = time.monotonic()
    torch.manual_seed(settings.seed)  # a new head's weights
    start_from = settings.model_path or settings.base_model
    model, tokenizer = load_classifier(start_from, settings.max_length, trained=settings.model_path is not None)
    if settings.model_path is None:
        start_at_mean(model, float(train["score"].mean()))
    model.to(compute.device)  # type: ignore[arg-type]  # a decorator hides the signature
    if compute.device == "cpu":
        model.set_attn_implementation("eager")  # torch's fused attention takes longer there, in bf16 most of all
    model.get_input_embeddings().requires_grad_(False)  # half of the weights; few votes teach few words
    model.eval()  # dropout stays off: its draws cost a CPU a third of the time, and the best epoch guards enough
    texts = distinct_texts(train.assign(score=train["score"] - strictness(train)), settings.thumb_weight)
    features = encode_frame(tokenizer, texts)
    given, weights = (torch.tensor(texts[name].to_numpy(np.float32)) for name in ("score", "weight"))
    held_out, held_out_given = encode_frame(tokenizer, validation), validation["score"].to_numpy(np.float64)

    lengths = [len(row["input_ids"]) for row in features]
    steps = settings.epochs * math.ceil(len(features) / settings.batch_size)
    optimizer = build_optimizer(model, settings)
    schedule = LambdaLR(optimizer, lambda step: rate(step, steps, settings.warmup_share))
    shuffle = np.random.default_rng(settings.seed)
    progress = Progress("training", steps)
    history: list[dict[str, float | None]] = []
    best_epoch, best_mse, best_raw, best_weights = 0, math.inf, np.empty(0), {}
    for epoch in range(1, settings.epochs + 1):
        squares = 0.0
        for rows in length_grouped(lengths, settings.batch_size, shuffle):
            batch = tokenizer.pad([features[i] for i in rows], return_tensors="pt").to(compute.device)
            with autocast(compute):
                logits = model(**batch).logits
            errors = (logits.squeeze(-1).float() - given[rows].to(compute.device)) ** 2
            loss = (errors * weights[rows].to(compute.device)).sum() / weights[rows].sum()
            mse = finite(loss.item(), epoch, settings)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            squares += mse * weights[rows].sum().item()
            progress.step(f"epoch {epoch}, loss {mse:.4f}")
        raw = outputs(model, tokenizer, held_out, compute, SCORING_BATCH)
        validation_mse = finite(float(np.mean((raw - held_out_given) ** 2)), epoch, settings) if len(raw) else None
        history.append({"epoch": epoch, "train_mse": squares / weights.sum().item(), "validation_mse": validation_mse})
        if validation_mse is None or validation_mse < best_mse:  # without validation votes the last epoch is kept
            best_epoch, best_raw = epoch, raw
            best_mse = math.inf if validation_mse is None else validation_mse
            best_weights = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
    model.load_state_dict(best_weights)
    with quietly():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    (folder / CALIBRATION).write_text(json.dumps(fit_line(best_raw, held_out_given)))
    return TrainingOutcome(history, best_epoch, time.monotonic() - started)


def strictness(votes: pd.DataFrame) -> pd.Series:
    """How far above the mean each vote's rater rates, shrunk towards 0 where they gave few votes; (n,) in scores.

    The random-intercept estimate n / (n + STRICTNESS_PRIOR) of the rater's mean residual: strict and lenient people
    would else look like bad and good answers. It is used in training alone and then thrown away.
    """
    residuals = (votes["score"] - votes["score"].mean()).groupby(votes["user_id"])
    shrunk = residuals.transform("sum") / (residuals.transform("size") + STRICTNESS_PRIOR)
    return shrunk.fillna(0.0)  # of nobody in particular


def distinct_texts(train: pd.DataFrame, thumb_weight: float) -> pd.DataFrame:
    """Each text once, with the weighted mean `score` and the whole `weight` of its votes: same gradient, less work."""
    weight = train["is_thumb"].map({True: thumb_weight, False: 1.0})
    votes = train.assign(weight=weight, score=weight * train["score"]).groupby(list(TEXTS), sort=False, dropna=False)
    return votes[["score", "weight"]].sum().assign(score=lambda sums: sums["score"] / sums["weight"]).reset_index()


def encode_frame(tokenizer: PreTrainedTokenizerBase, frame: pd.DataFrame) -> list[Features]:
    return encode(tokenizer, *(frame[name].tolist() for name in TEXTS))


def start_at_mean(model: PreTrainedModel, mean: float) -> None:
    """Let the untrained head say the mean score, where it has a bias (stock decoder classes have none)."""
    if head(model).bias is not None:
        nn.init.constant_(head(model).bias, mean)


def build_optimizer(model: PreTrainedModel, settings: RewardSettings) -> torch.optim.AdamW:
    """AdamW that decays matrices only: a bias or a norm's gain has no reason to be small."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    matrices = [weight for weight in learning if weight.ndim > 1]
    vectors = [weight for weight in learning if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def rate(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` of `steps`: linear up, then linear down to 0 after the last."""
    warmup = math.ceil(warmup_share * steps)
    return (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def length_grouped(lengths: list[int], batch_size: int, shuffle: np.random.Generator) -> list[list[int]]:
    """Every row number once, in batches of similar length, the batches in random order."""
    order = shuffle.permutation(len(lengths)).tolist()
    group = batch_size * GROUP
    batches = []
    for start in range(0, len(order), group):
        near = sorted(order[start : start + group], key=lambda i: lengths[i])
        batches += [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
    return [batches[i] for i in shuffle.permutation(len(batches))]


def finite(mse: float, epoch: int, settings: RewardSettings) -> float:
    """`mse`, or RlhfError when it is NaN or infinite."""
    if math.isfinite(mse):
        return mse
    raise RlhfError(
        f"the reward model's loss is {mse} in epoch {epoch}; lower learning_rate (now {settings.learning_rate:g}) "
        "or set the precision to fp32"
    )
