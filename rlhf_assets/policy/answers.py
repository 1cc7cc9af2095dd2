"""Answers to rows of conversations as text: what a rollout, an evaluation and `generate` have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from rlhf_assets.compute import choose_compute
from rlhf_assets.policy.chat import conversation_of, encode_prompt, stop_tokens
from rlhf_assets.policy.sampling import Reply, sample, seed_of
from rlhf_assets.policy.settings import SamplingSettings
from rlhf_assets.policy.weights import context_length, load_policy, sampling_copy


def encode_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[Any, Any]], context: int, max_new_tokens: int
) -> list[list[int]]:
    """Prompt ids of rows with query, context, system_prompt; trimmed so that the reply fits into `context` tokens."""
    return [encode_prompt(tokenizer, conversation_of(row), context - max_new_tokens) for row in rows]


def decode(tokenizer: PreTrainedTokenizerBase, reply: Reply) -> str:
    """A reply's text without special tokens."""
    return str(tokenizer.decode(reply.tokens, skip_special_tokens=True)).strip()


def answer_with(
    name: str, rows: Sequence[Mapping[str, Any]], max_new_tokens: int, temperature: float, seed: int
) -> list[dict[str, Any]]:
    """See `rlhf_assets.policy.generate`."""
    compute = choose_compute()
    model, tokenizer = load_policy(name, compute)
    prompts = encode_rows(tokenizer, rows, context_length(model), max_new_tokens)
    seeds = [seed_of(seed, i) for i in range(len(rows))]
    stops = stop_tokens(name, tokenizer)
    size = SamplingSettings().batch_size
    replies = sample(sampling_copy(model, compute), prompts, seeds, stops, max_new_tokens, temperature, size)
    return [{"response": decode(tokenizer, reply), "stopped": reply.stopped} for reply in replies]
