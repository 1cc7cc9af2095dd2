"""A model while it learns: the loop over batches, what it judges best, and where it stands."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.split import CHAT
from rlhf_assets.reward.batches import batches, units
from rlhf_assets.reward.head import fitted_heads, pooled, set_head
from rlhf_assets.reward.inputs import Features, encode_frame
from rlhf_assets.reward.lessons import Lessons, freed_of_strictness
from rlhf_assets.reward.objective import Objective
from rlhf_assets.reward.optimizer import build_optimizer, rate
from rlhf_assets.reward.processes import Processes
from rlhf_assets.reward.scoring import outputs
from rlhf_assets.reward.settings import RewardSettings

GRADIENT_NORM = 1.0
STEEPNESS_COST = 1e-4  # a gain of 1 spreads ratings over the whole scale; a sane one is about 0.2
MIXES = (0.25, 0.5, 0.75, 1.0)  # how far from the start to the best epoch's weights

Weights = dict[str, Tensor]


@dataclass
class Best:
    """The weights after `epoch`, of all epochs so far the one with the least validation `loss`."""

    epoch: int
    loss: float
    weights: Weights


class Learner:
    """`known` is what `model` learns, `held_out` chooses between its epochs.

    `history` as in TrainingOutcome; `done` counts the batches learned from, of `batches` in all.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        known: Lessons,
        held_out: Lessons,
        settings: RewardSettings,
        compute: Compute,
        processes: Processes,
    ) -> None:
        self.model, self.tokenizer, self.settings, self.compute = model, tokenizer, settings, compute
        self.processes = processes
        self.known = known
        self.features, self.held_out_features = (encode_frame(tokenizer, one.texts) for one in (known, held_out))
        self.objective, self.judge = Objective(known, compute.device), Objective(held_out, compute.device)
        self.optimizer = build_optimizer(model, self.objective, settings)
        self.state_of_chat = known.texts.groupby(CHAT, sort=False, dropna=False).ngroup().to_numpy()
        lengths = np.array([len(row["input_ids"]) for row in self.features])
        self.batches = planned(known, self.state_of_chat, lengths, settings)
        texts = sum(len(rows) for epoch, rows in self.batches if epoch == 1)
        self.batch_weight = known.weight / max(1, sum(epoch == 1 for epoch, _ in self.batches)) if texts else 1.0
        self.done, self.loss = 0, 0.0  # of the running epoch
        self.said = torch.zeros(len(self.features), device=compute.device)  # in this epoch by this process
        self.freed_by: Tensor | None = None  # what was said in the epoch before
        self.history: list[dict[str, float | None]] = []
        self.start: Weights = {}
        self.best = Best(0, math.inf, {})

    def learn_head(self) -> None:
        """Epoch 0: the head alone, unless the model has learned one already."""
        smallest = None
        if self.settings.model_path is None:
            read = self.processes.of_each(self.features, partial(pooled, self.model, self.tokenizer, self.compute))
            best, smallest = fitted_heads(read, self.objective, pd.factorize(self.known.texts["query"])[0])
            set_head(self.model, best)
        self.processes.agree(list(self.model.parameters()))
        self.start = self.weights()
        self.end_epoch(0)
        if smallest is not None:
            set_head(self.model, smallest)
            self.processes.agree(list(self.model.parameters()))

    def learn_batch(self) -> float:
        """Learn from the next batch; its loss per usual weight of a batch, so that each vote counts alike whatever
        stands beside it."""
        epoch, rows = self.batches[self.done]
        self.optimizer.zero_grad()
        loss = self.processes.total(self.learn_from(self.processes.part(rows, self.state_of_chat)))
        value = finite(loss.item(), epoch, self.settings)
        self.processes.sum_gradients([weight for group in self.optimizer.param_groups for weight in group["params"]])
        nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        share = rate(self.done, len(self.batches), self.settings.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["peak"]
        self.optimizer.step()
        self.loss += value
        self.done += 1
        if self.done == len(self.batches) or self.batches[self.done][0] > epoch:
            self.end_epoch(epoch)
        return value

    def learn_from(self, rows: np.ndarray) -> Tensor:
        """The loss () of these texts; adds its gradients."""
        if not len(rows):
            return torch.zeros((), device=self.compute.device)
        batch = self.tokenizer.pad([self.features[i] for i in rows], return_tensors="pt").to(self.compute.device)
        with autocast(self.compute):
            ratings = self.model(**batch).logits.squeeze(-1).float()
        loss = self.objective(ratings, torch.from_numpy(rows).to(self.compute.device)) / self.batch_weight
        loss.backward()
        self.said[rows] = ratings.detach()
        return loss.detach()

    def end_epoch(self, epoch: int) -> None:
        """Judge what was learned, and take the raters' strictness anew for the next epoch."""
        if epoch:
            self.hear(self.processes.total(self.said))
            self.said = torch.zeros_like(self.said)
        judged = self.judged(self.raw())
        count = sum(number == epoch for number, _ in self.batches)
        self.history.append(
            {"epoch": epoch, "train_loss": self.loss / count if epoch else None, "validation_loss": judged}
        )
        self.loss = 0.0
        if judged is None or judged < self.best.loss:  # without validation votes the last epoch is the best
            self.best = Best(epoch, math.inf if judged is None else judged, self.weights())

    def hear(self, said: Tensor) -> None:
        self.freed_by = said
        self.objective.take(freed_of_strictness(self.known, said.double().cpu().numpy()))

    def settle(self) -> float:
        """Keep the best there is between the start and the best epoch; how far it lies (1: the epoch itself).

        Between the two, weights lose less of what the pretrained model knew (Wortsman et al. 2022, "Robust fine-tuning
        of zero-shot models").
        """
        chosen, least = 1.0, math.inf
        for mix in MIXES if self.best.epoch and self.judge.weight else ():
            self.set_weights(self.between(mix))
            loss = self.judged(self.raw())
            if loss is not None and loss < least:
                chosen, least = mix, loss
        self.set_weights(self.between(chosen))
        return chosen

    def between(self, mix: float) -> Weights:
        return {name: torch.lerp(self.start[name], best, mix) for name, best in self.best.weights.items()}

    def raw(self) -> np.ndarray:
        """What it says of the held-out texts (n,)."""

        def read(features: list[Features]) -> Tensor:
            raw = outputs(self.model, self.tokenizer, features, self.compute)
            return torch.as_tensor(raw, dtype=torch.float32, device=self.compute.device)

        return self.processes.of_each(self.held_out_features, read).cpu().double().numpy()

    def judged(self, raw: np.ndarray) -> float | None:
        """The validation loss after the best calibration, which is what people get to see, with the steepnesses learned
        in training; None without anything to judge by."""
        if not self.judge.weight:
            return None
        self.judge.load_state_dict(self.objective.state_dict())
        said = torch.as_tensor(raw, dtype=torch.float32, device=self.compute.device)
        finite(said.sum().item(), len(self.history), self.settings)
        return calibrated_loss(said, self.judge) / self.judge.weight

    def weights(self) -> Weights:
        """A copy of all that learns."""
        return {
            name: weight.detach().cpu().clone()
            for name, weight in self.model.named_parameters()
            if weight.requires_grad
        }

    def set_weights(self, weights: Weights) -> None:
        self.model.load_state_dict(weights, strict=False)

    def state(self) -> dict[str, Any]:
        """Where all processes stand, in plain types and tensors, without any text."""
        return {
            "weights": self.weights(),
            "said": self.processes.total(self.said),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "start": self.start,
            "best": vars(self.best),
            **{name: getattr(self, name) for name in ("done", "loss", "freed_by", "history")},
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """From where `state` was taken."""
        self.set_weights(state["weights"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.start, self.best = state["start"], Best(**state["best"])
        self.done, self.loss, self.history = (state[name] for name in ("done", "loss", "history"))
        if self.processes.main:  # of its sum over all of them
            self.said = state["said"].to(self.compute.device)
        if state["freed_by"] is not None:
            self.hear(state["freed_by"])


def planned(
    known: Lessons, state: np.ndarray, lengths: np.ndarray, settings: RewardSettings
) -> list[tuple[int, np.ndarray]]:
    """(epoch from 1 on, numbers of its texts) of all batches, in order; state and lengths are those of each text."""
    shuffle = np.random.default_rng(settings.seed)
    together = units(len(known.texts), known.better, known.worse, state)
    return [
        (epoch, rows)
        for epoch in range(1, settings.epochs + 1)
        for rows in batches(together, lengths, settings.batch_size, shuffle)
    ]


def calibrated_loss(said: Tensor, judge: Objective) -> float:
    """The least loss of any rising line of what was said, (n,).

    Thumbs and pairs that are all foreseen rightly would be loved by a line without end, so steepness costs a little.
    """
    line = torch.tensor([0.5, 0.0], device=said.device, requires_grad=True)  # bias and gain
    solver = torch.optim.LBFGS([line], max_iter=50, line_search_fn="strong_wolfe")
    spread = said.std(correction=0) + 1e-6
    scaled = (said - said.mean()) / spread

    def loss() -> Tensor:
        solver.zero_grad()
        value = judge(line[0] + line[1] * scaled) + STEEPNESS_COST * judge.weight * line[1].square()
        value.backward()
        return value

    solver.step(loss)
    with torch.no_grad():
        return float(judge(line[0] + line[1].clamp(min=0) * scaled))


def finite(loss: float, epoch: int, settings: RewardSettings) -> float:
    """`loss`, or RlhfError when it is NaN or infinite."""
    if math.isfinite(loss):
        return loss
    raise RlhfError(
        f"the reward model's loss is {loss} in epoch {epoch}; lower learning_rate (now {settings.learning_rate:g}) "
        "or set the precision to fp32"
    )
