"""Rewards of single steps: the token at which each step of a reply ends, and what it earns there."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from rlhf_assets.feedback.steps import split_steps
from rlhf_assets.policy.answers import decode
from rlhf_assets.policy.sampling import Reply

# queries, steps, contexts, the steps before each (JSON texts) -> (steps,)
StepScore = Callable[[list[str], list[str], list[str], list[str]], np.ndarray]


@dataclass(frozen=True)
class Steps:
    """The steps of several replies, one after the other.

    rows, ends: (steps,) the reply that each belongs to and the place of its last token there; texts, before: the step
    and, as JSON, those before it.
    """

    rows: list[int]
    ends: list[int]
    texts: list[str]
    before: list[str]


def steps_of(tokenizer: PreTrainedTokenizerBase, replies: Sequence[Reply], texts: Sequence[str]) -> Steps:
    """The steps of replies with these texts, as people rate them; a blank reply has none."""
    found = Steps([], [], [], [])
    for row, (reply, text) in enumerate(zip(replies, texts, strict=True)):
        steps = split_steps(text)
        found.rows.extend([row] * len(steps))
        found.ends.extend(last_token(tokenizer, reply, text[: step.end].rstrip()) for step in steps)
        found.texts.extend(step.text for step in steps)
        found.before.extend(json.dumps([one.text for one in steps[:k]]) for k in range(len(steps)))
    return found


def last_token(tokenizer: PreTrainedTokenizerBase, reply: Reply, beginning: str) -> int:
    """Place of the token with which a reply has said `beginning`, by bisection: a token may hold half a character."""
    low, high = 0, len(reply.tokens) - 1
    while low < high:
        middle = (low + high) // 2
        said = decode(tokenizer, Reply(reply.tokens[: middle + 1], [], stopped=False))
        low, high = (low, middle) if said.startswith(beginning) else (middle + 1, high)
    return low


def shares(earned: np.ndarray, steps: Steps) -> np.ndarray:
    """What each step earned (steps,), divided by how many its reply has: the sum would pay for many steps."""
    counts = Counter(steps.rows)
    return earned / np.array([counts[row] for row in steps.rows])


def per_reply(earned: np.ndarray, steps: Steps, replies: int) -> np.ndarray:
    """The mean of what each reply's steps earned, (replies,); 0 where it has none."""
    return np.bincount(steps.rows, weights=shares(earned, steps), minlength=replies)


def place(rewards: torch.Tensor, steps: Steps, earned: np.ndarray) -> torch.Tensor:
    """Add to rewards (rows, tokens) each step's share of what the steps earned (steps,), at its last token."""
    placed, where = rewards.clone(), torch.tensor([steps.rows, steps.ends], dtype=torch.long)
    each = torch.tensor(shares(earned, steps), dtype=torch.float32)
    placed.index_put_((where[0], where[1]), each, accumulate=True)
    return placed
