"""How fast which weights learn."""

import math
import re

import torch
from torch import nn
from torch.nn import Parameter
from transformers import PreTrainedModel

from rlhf_assets.reward.settings import RewardSettings

LINKS_RATE = 1e-2  # learning rate of the objective's three numbers
LAYER = re.compile(r"\.(\d+)\.")  # in the name of what belongs to one of many layers


def build_optimizer(model: PreTrainedModel, objective: nn.Module, settings: RewardSettings) -> torch.optim.AdamW:
    """AdamW on all weights that learn: lower layers at lower rates, and matrices alone decay; `peak` is a group's rate
    at its highest.

    What lies k layers below the top learns at layer_decay^k of the rate (Howard and Ruder 2018, "Universal Language
    Model Fine-tuning", section 3.2): the lower a layer, the more general what it knows already. A bias or a norm's
    gain has no reason to be small.
    """
    groups: dict[tuple[int, bool], list[Parameter]] = {}
    for depth, weight in by_depth(model):
        if weight.requires_grad:
            groups.setdefault((depth, weight.ndim > 1), []).append(weight)
    top = max((depth for depth, _ in groups), default=0)
    made = [
        {
            "params": weights,
            "peak": settings.learning_rate * settings.layer_decay ** (top - depth),
            "weight_decay": settings.weight_decay if matrices else 0.0,
        }
        for (depth, matrices), weights in groups.items()
    ]
    links = {"params": list(objective.parameters()), "peak": LINKS_RATE, "weight_decay": 0.0}
    return torch.optim.AdamW([*made, links], lr=settings.learning_rate, fused=True)


def by_depth(model: PreTrainedModel) -> list[tuple[int, Parameter]]:
    """Each weight with the number of its layer: what comes before the first is one lower, what follows one higher."""
    numbers = [(int(found[1]) if (found := LAYER.search(name)) else None) for name, _ in model.named_parameters()]
    top = max((number for number in numbers if number is not None), default=-1)
    first = next((i for i, number in enumerate(numbers) if number is not None), 0)
    outside = [-1 if i < first else top + 1 for i in range(len(numbers))]
    depths = [beside if number is None else number for number, beside in zip(numbers, outside, strict=True)]
    return list(zip(depths, model.parameters(), strict=True))


def rate(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` of `steps`: linear up, then linear down to 0 after the last."""
    warmup = math.ceil(warmup_share * steps)
    return (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)
