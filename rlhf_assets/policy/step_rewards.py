"""Rewards of single steps: the token at which each step of a reply ends, and what it earns there."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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

    rows: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)


def steps_of(tokenizer: PreTrainedTokenizerBase, replies: Sequence[Reply], texts: Sequence[str]) -> Steps:
    """The steps of replies with these texts, as people rate them; a blank reply has none."""
    found = Steps()
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


def increments(earned: np.ndarray, steps: Steps) -> np.ndarray:
    """By how much each step moved the mean of what its reply's steps had earned until then, from 0 on, (steps,).

    Their sum is the mean of all, and nothing that is still to come hangs on how many steps there will be: another one
    as good as the mean earns nothing. A share of 1/n each would pay for going on, since it is the steps behind that it
    makes worth less. (Ng 1999: shaping by a potential, which is the mean so far.)
    """
    moved = np.empty(len(earned))
    for i, row in enumerate(steps.rows):
        if i == 0 or row != steps.rows[i - 1]:
            count, mean = 0, 0.0
        count += 1
        moved[i] = (earned[i] - mean) / count
        mean += moved[i]
    return moved


def per_reply(earned: np.ndarray, steps: Steps, replies: int) -> np.ndarray:
    """The mean of what each reply's steps earned, (replies,); 0 where it has none."""
    return np.bincount(steps.rows, weights=increments(earned, steps), minlength=replies)


def place(values: np.ndarray, steps: Steps, mask: torch.Tensor) -> torch.Tensor:
    """A table like the mask (rows, tokens) with each step's value (steps,) at the step's last token, 0 elsewhere."""
    placed, where = torch.zeros(mask.shape), torch.tensor([steps.rows, steps.ends], dtype=torch.long)
    placed.index_put_((where[0], where[1]), torch.tensor(values, dtype=torch.float32), accumulate=True)
    return placed


def before(placed: torch.Tensor) -> torch.Tensor:
    """What stands before each token of its row, summed; (rows, tokens) both."""
    return placed.cumsum(1) - placed
