"""Ragged replies to padded tensors: left for sampling, right for learning; rows of like length together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """Whole sequences for one forward pass, padded right to the longest.

    input_ids, attention_mask: (rows, length). predicts: (rows, length) bool, True where the next token is one of the
    reply, so at the last prompt token and at all reply tokens but the last. targets: (tokens,), those next tokens row
    by row, the order in which `tensor[predicts]` reads.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    predicts: torch.Tensor
    targets: torch.Tensor


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts as (rows, longest) ids, padding in front, and their attention mask (rows, longest)."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def pad_right(prompts: Sequence[list[int]], replies: Sequence[list[int]], pad: int, device: str) -> Batch:
    """Join each prompt with its reply; PAD may equal a reply's token, since lengths alone decide what counts."""
    lengths = [len(prompt) + len(reply) for prompt, reply in zip(prompts, replies, strict=True)]
    ids = torch.full((len(lengths), max(lengths)), pad)
    mask, predicts = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        ids[row, : lengths[row]] = torch.tensor(prompt + reply)
        mask[row, : lengths[row]] = 1
        predicts[row, len(prompt) - 1 : lengths[row] - 1] = True
    targets = torch.tensor([token for reply in replies for token in reply])
    return Batch(ids.to(device), mask.to(device), predicts.to(device), targets.to(device))


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token in its own text: cumsum(mask) - 1, 0 on padding in front; (rows, length) both."""
    return (mask.cumsum(1) - 1).clamp(min=0)


def length_groups(rows: Sequence[int], lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """`rows` in groups of at most `size`, sorted by their length so that little is padded."""
    ordered = sorted(rows, key=lambda row: lengths[row])
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def reply_mask(lengths: torch.Tensor) -> torch.Tensor:
    """(rows,) tokens a reply -> (rows, longest) bool, True on response tokens."""
    return torch.arange(int(lengths.max())) < lengths[:, None]
