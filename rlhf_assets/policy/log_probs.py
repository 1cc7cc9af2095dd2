"""Log-probabilities of given replies, with the vocabulary head applied only where a reply token is predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.policy.batching import Batch, length_groups, pad_right, positions

CHUNK = 128  # tokens whose whole-vocabulary float32 logits exist at one time; 25 MB for 49,152 of vocabulary


@torch.no_grad()
def reply_log_probs(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    replies: Sequence[list[int]],
    temperature: float,
    micro_batch_size: int,
    compute: Compute,
) -> np.ndarray:
    """Log-probability of each whole reply to its prompt, both token ids, summed over its tokens: (rows,) nats."""
    sums = np.zeros(len(replies))
    lengths = [len(prompt) + len(reply) for prompt, reply in zip(prompts, replies, strict=True)]
    for rows in length_groups(range(len(replies)), lengths, micro_batch_size):
        tokens = [replies[i] for i in rows]
        batch = pad_right([prompts[i] for i in rows], tokens, model.config.pad_token_id, compute.device)
        states = reply_states(model, batch, compute)
        log_probs = token_log_probs(model, states, batch.targets, temperature, compute)
        sums[rows] = [part.sum().item() for part in log_probs.split([len(reply) for reply in tokens])]
    return sums


def reply_states(model: PreTrainedModel, batch: Batch, compute: Compute) -> torch.Tensor:
    """Last hidden state before each reply token: (tokens, d), in the order of `batch.targets`."""
    with autocast(compute):
        output = model.base_model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=positions(batch.attention_mask),
            use_cache=False,
        )
    return output.last_hidden_state[batch.predicts]


def token_log_probs(
    model: PreTrainedModel, states: torch.Tensor, targets: torch.Tensor, temperature: float, compute: Compute
) -> torch.Tensor:
    """log p(target) under softmax(logits / temperature); states (tokens, d), targets (tokens,) -> (tokens,) float32."""
    head = model.get_output_embeddings()
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    return ChosenLogProb.apply(states.to(dtype), head.weight.to(dtype), targets, temperature)


class ChosenLogProb(torch.autograd.Function):
    """Logit of the chosen token minus logsumexp, keeping for the backward pass only the logits in their own precision.

    Plain autograd keeps two or three float32 tensors of (tokens, vocabulary); the vocabulary is half of all the time.
    """

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, temperature: float
    ) -> torch.Tensor:
        logits = (states @ weight.T).div_(temperature)
        normalizer = torch.cat([part.float().logsumexp(-1) for part in logits.split(CHUNK)])
        ctx.save_for_backward(states, weight, targets, logits, normalizer)
        ctx.temperature = temperature
        return logits.gather(1, targets[:, None]).squeeze(1).float() - normalizer

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """d log p(y) / d logits = (onehot(y) - p) / temperature."""
        (gradient,) = gradients
        states, weight, targets, logits, normalizer = ctx.saved_tensors
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            upstream = gradient[part, None] / ctx.temperature
            to_logits = logits[part].float().sub_(normalizer[part, None]).exp_().mul_(-upstream)
            logits[part] = to_logits.scatter_add_(1, targets[part, None], upstream)  # in place: they are not used again
        return logits @ weight, logits.T @ states if ctx.needs_input_grad[1] else None, None, None
