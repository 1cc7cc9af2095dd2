"""A round of replies and what is known of each of their tokens before learning starts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.batching import Batch, length_groups, pad_right, reply_mask
from rlhf_assets.policy.log_probs import reply_states, token_log_probs
from rlhf_assets.policy.sampling import Reply
from rlhf_assets.policy.step_rewards import Steps
from rlhf_assets.policy.value import ValueHead, states_of
from rlhf_assets.policy.weights import plain

Score = Callable[[list[str], list[str], list[str]], np.ndarray]  # queries, responses, contexts -> (rows,)


@dataclass(frozen=True)
class Rollout:
    """Replies with their prompts and the scores of their texts, row by row; and their steps, where these are scored."""

    prompts: list[list[int]]
    replies: list[Reply]
    texts: list[str]
    scores: np.ndarray
    steps: Steps = field(default_factory=Steps)
    step_scores: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def tokens(self) -> list[list[int]]:
        return [reply.tokens for reply in self.replies]

    @property
    def lengths(self) -> torch.Tensor:
        """(rows,) response tokens, the stop token included."""
        return torch.tensor([len(reply.tokens) for reply in self.replies])

    @property
    def stopped(self) -> torch.Tensor:
        """(rows,) bool."""
        return torch.tensor([reply.stopped for reply in self.replies])

    @property
    def mask(self) -> torch.Tensor:
        """(rows, tokens) bool, True on response tokens."""
        return reply_mask(self.lengths)

    def batch(self, rows: Sequence[int], pad: int, device: str) -> Batch:
        """Some rows, padded for a forward pass."""
        return pad_right([self.prompts[i] for i in rows], [self.tokens[i] for i in rows], pad, device)

    def micro_batches(self, rows: Sequence[int], size: int) -> Iterator[list[int]]:
        """Those rows in groups of like length."""
        return length_groups(rows, [len(p) + len(t) for p, t in zip(self.prompts, self.tokens, strict=True)], size)


@dataclass(frozen=True)
class Assessment:
    """What policy, value head and reference say of a rollout's tokens; (rows, tokens), 0 on padding, on the CPU."""

    log_probs: torch.Tensor
    reference_log_probs: torch.Tensor
    values: torch.Tensor
    paid: torch.Tensor  # for the steps before a token
    shown: torch.Tensor  # bool, the tokens whose states are kept
    states: torch.Tensor  # (tokens shown, d + 1) on the device, in the order of `tensor[shown]`


@torch.no_grad()
def assess(
    rollout: Rollout,
    groups: Sequence[list[int]],
    paid: torch.Tensor,
    shown: torch.Tensor,
    policy: Any,
    head: ValueHead,
    temperature: float,
    compute: Compute,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The policy's log-probabilities and values (rows, tokens), and the states (tokens shown, d + 1) of the values.

    paid, shown: (rows, tokens). Of the rows in `groups` alone, 0 elsewhere. Raises RlhfError when the policy gives NaN.
    """
    mask, model = rollout.mask, plain(policy)
    log_probs, values = torch.zeros(mask.shape), torch.zeros(mask.shape)
    states, row_of = torch.zeros(int(shown.sum()), head.in_features), torch.zeros(mask.shape, dtype=torch.long)
    row_of[shown] = torch.arange(len(states))
    for rows in groups:
        batch = rollout.batch(rows, model.config.pad_token_id, compute.device)
        hidden = reply_states(model, batch, compute)
        put(log_probs, rows, mask, token_log_probs(model, hidden, batch.targets, temperature, compute))
        read = states_of(hidden, take(paid, rows, mask, compute.device), rollout.lengths[rows].tolist())
        put(values, rows, mask, head(read))
        kept = shown[rows][mask[rows]]
        states[row_of[rows][shown[rows]]] = read[kept.to(read.device)].cpu()
    if not (log_probs.isfinite().all() and values.isfinite().all()):
        raise RlhfError("the policy's log-probabilities are not finite; it diverged, lower the learning rate")
    return log_probs, values, states


@torch.no_grad()
def reference_log_probs(
    rollout: Rollout, groups: Sequence[list[int]], policy: Any, reference: Any, temperature: float, compute: Compute
) -> torch.Tensor:
    """The reference's log-probabilities (rows, tokens) of the rows in `groups`; None is the policy without adapter."""
    mask, table = rollout.mask, torch.zeros(rollout.mask.shape)
    model = plain(policy) if reference is None else reference
    with policy.disable_adapter() if reference is None else nullcontext():
        for rows in groups:
            batch = rollout.batch(rows, model.config.pad_token_id, compute.device)
            hidden = reply_states(model, batch, compute)
            put(table, rows, mask, token_log_probs(model, hidden, batch.targets, temperature, compute))
    return table


def thinned(mask: torch.Tensor, most: int) -> torch.Tensor:
    """At most so many of the True ones of a mask, evenly spread over all."""
    number = mask.flatten().cumsum(0).reshape(mask.shape) - 1
    return mask & (number % -(-int(mask.sum()) // most) == 0)


def put(table: torch.Tensor, rows: Sequence[int], mask: torch.Tensor, tokens: torch.Tensor) -> None:
    """Write a micro-batch's response tokens (tokens, ...) into their places in a (rows, tokens, ...) table."""
    block = torch.zeros((len(rows), *table.shape[1:]))
    block[mask[rows]] = tokens.cpu()
    table[rows] = block


def take(table: torch.Tensor, rows: Sequence[int], mask: torch.Tensor, device: str) -> torch.Tensor:
    """The response tokens of some rows of a (rows, tokens) table, in the order of their batch: (tokens,)."""
    return table[rows][mask[rows]].to(device)


def texts_of(rows: Sequence[Mapping[Any, Any]], column: str, missing: str) -> list[str]:
    """A column of prompt rows as strings; None and NaN become `missing`."""
    return [value if isinstance(value := row.get(column), str) else missing for row in rows]
