"""The head alone, fitted exactly on what the untrained model makes of the texts.

A fresh head's first gradients would wreck features that are good already (Kumar et al. 2022, "Fine-tuning can distort
pretrained features and underperform out-of-distribution"), so training starts from the best head for them as they are.
"""

from collections.abc import Iterator

import numpy as np
import torch
from sklearn.model_selection import GroupKFold
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.reward.inputs import Features
from rlhf_assets.reward.loading import head
from rlhf_assets.reward.objective import Objective
from rlhf_assets.reward.scoring import by_length

PENALTIES = (100.0, 10.0, 1.0, 1e-1, 1e-2, 1e-3)  # of a weight's square beside a vote's loss
FOLDS = 5  # of the questions, to choose between them

Head = tuple[Tensor, Tensor]  # weights (width,) and bias ()


def fitted_heads(features: Tensor, objective: Objective, questions: np.ndarray) -> tuple[Head, Head]:
    """The head best on questions that it does not know, by cross-validation over PENALTIES, and the smallest.

    features: (n, width) of the objective's texts; questions: (n,) the number of each text's question. The second head
    is where all weights may learn from: behind a large one every small change below makes a large one above, so that
    training is all noise.
    """
    if features.device.type != "mps":  # in single precision the solver would magnify rounding a thousand times
        features = features.double()
    mean, spread = features.mean(0), features.std(0, correction=0) + 1e-6
    scaled = (features - mean) / spread
    folds = min(FOLDS, len(np.unique(questions)))
    losses = np.zeros(len(PENALTIES))
    for rest, part in GroupKFold(folds).split(questions, groups=questions) if folds > 1 else []:
        known, asked = (torch.from_numpy(rows).to(features.device) for rows in (rest, part))
        for number, fitted in enumerate(ridge_path(scaled, objective, known)):
            with torch.no_grad():
                losses[number] += objective(scaled[asked] @ fitted[0] + fitted[1], asked).item()
    path = []
    for weight, bias in ridge_path(scaled, objective, torch.arange(len(features), device=features.device)):
        path.append((weight / spread, bias - mean @ (weight / spread)))
    return path[int(losses.argmin())], path[0]


def ridge_path(features: Tensor, objective: Objective, texts: Tensor) -> Iterator[Head]:
    """The heads with the least loss on these `texts` (k,) for each of PENALTIES; features (n, width) standardised."""
    start = features.new_zeros(features.shape[1]), features.new_full((), 0.5)
    for penalty in PENALTIES:
        start = ridge(features[texts], objective, penalty, texts, start)
        yield start


def set_head(model: PreTrainedModel, fitted: Head) -> None:
    layer = head(model)
    with torch.no_grad():
        layer.weight.copy_(fitted[0][None])
        if layer.bias is not None:
            layer.bias.copy_(fitted[1][None])


def ridge(features: Tensor, objective: Objective, penalty: float, texts: Tensor, start: Head) -> Head:
    """The linear head with the least loss on `texts` (k,) with features (k, width), sought from `start`."""
    weight, bias = (value.clone().requires_grad_() for value in start)
    votes = objective.weight * len(texts) / len(objective.score)
    solver = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = objective(features @ weight + bias, texts) / votes + penalty * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return weight.detach(), bias.detach()


def pooled(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, compute: Compute, features: list[Features]
) -> Tensor:
    """What the head reads of each text, (n, width); in a decoder that is its last token which is not PAD."""
    seen: list[Tensor] = []
    hook = head(model).register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].float()))
    made = torch.empty(len(features), head(model).in_features, device=compute.device)
    try:
        with torch.no_grad(), autocast(compute):
            for rows in by_length(features, compute):
                batch = tokenizer.pad([features[i] for i in rows], return_tensors="pt").to(compute.device)
                model(**batch)
                read = seen.pop()
                if read.ndim == 3:  # (texts, tokens, width), of which the stock class takes one
                    token = batch["input_ids"]
                    place = torch.arange(token.shape[1], device=token.device)
                    last = (place * (token != model.config.pad_token_id)).argmax(1)
                    read = read[torch.arange(len(rows), device=read.device), last]
                made[rows] = read
    finally:
        hook.remove()
    return made
