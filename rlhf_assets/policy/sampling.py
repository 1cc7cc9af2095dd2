"""Our own batched sampling: a generator per prompt, rows leave as they stop, the batch ends with the last of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.batching import length_groups, pad_left, positions
from rlhf_assets.policy.growing_cache import growing_cache


@dataclass(frozen=True)
class Reply:
    """Sampled tokens, cut at the first stop token, which they include; `stopped` is False for a reply cut at the limit.

    log_probs: of each token under the distribution that it was drawn from, so after dividing by the temperature.
    """

    tokens: list[int]
    log_probs: list[float]
    stopped: bool


def seed_of(*parts: int) -> int:
    """One generator seed from several numbers, such as (seed, update, prompt); how many they are counts too."""
    return int(np.random.SeedSequence((len(parts), *parts)).generate_state(2, np.uint32).view(np.uint64)[0] >> 1)


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    stops: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    batch_size: int,
) -> list[Reply]:
    """One reply to each prompt, drawn from the whole distribution (top_k 0, top_p 1); temperature 0 is greedy.

    A reply depends on its prompt and seed, not on the batch it is drawn in. Raises RlhfError on NaN.
    """
    replies: dict[int, Reply] = {}
    for rows in length_groups(range(len(prompts)), [len(prompt) for prompt in prompts], batch_size):
        drawn = sample_batch(
            model, [prompts[i] for i in rows], [seeds[i] for i in rows], stops, max_new_tokens, temperature
        )
        replies.update(zip(rows, drawn, strict=True))
    return [replies[i] for i in range(len(prompts))]


def sample_batch(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    stops: Sequence[int],
    max_new_tokens: int,
    temperature: float,
) -> list[Reply]:
    """`sample` for prompts that fit one batch."""
    device = model.device
    input_ids, mask = (tensor.to(device) for tensor in pad_left(prompts, model.config.pad_token_id))
    uniforms = torch.stack([torch.rand(max_new_tokens, generator=generator(seed)) for seed in seeds]).to(device)
    stop_ids = torch.tensor(list(stops), device=device)
    tokens = torch.zeros((len(prompts), max_new_tokens), dtype=torch.long, device=device)
    log_probs = torch.zeros((len(prompts), max_new_tokens), device=device)
    lengths = torch.zeros(len(prompts), dtype=torch.long, device=device)
    stopped = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    rows = torch.arange(len(prompts), device=device)  # which prompt each row of the batch answers
    cache = growing_cache(model.config)
    last = torch.tensor([-1], device=device)  # as a tensor: a slice makes the vocabulary head copy itself for every row
    for step in range(max_new_tokens):
        output = model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions(mask)[:, -input_ids.shape[1] :],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last,
        )
        token, log_prob = draw(output.logits[:, -1], uniforms[rows, step], temperature)
        live = ~stopped[rows]
        tokens[rows, step], log_probs[rows, step] = token, log_prob
        lengths[rows[live]] = step + 1
        stopped[rows] |= torch.isin(token, stop_ids)
        live = ~stopped[rows]
        if not live.any():
            break
        input_ids, mask = token[:, None], torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        if live.sum() <= 0.9 * len(rows):  # dropping rows copies the whole cache
            cache.batch_select_indices(live.nonzero().squeeze(1))
            input_ids, mask, rows = input_ids[live], mask[live], rows[live]
    return [
        Reply(row[:length].tolist(), chosen[:length].tolist(), bool(ended))
        for row, chosen, length, ended in zip(tokens, log_probs, lengths.tolist(), stopped, strict=True)
    ]


def generator(seed: int) -> torch.Generator:
    """A CPU generator: the same draws on every device."""
    return torch.Generator().manual_seed(seed)


def draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A token a row by inverting the cumulative distribution; logits (rows, vocabulary), uniforms (rows,) in [0, 1).

    Returns tokens and their log-probabilities, both (rows,). Raises RlhfError when the logits are NaN.
    """
    log_probs = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)
    if temperature == 0:
        tokens = log_probs.argmax(-1)
    else:
        cumulative = log_probs.exp().cumsum(-1)
        below = uniforms.clamp(max=1 - 1e-6) * cumulative[:, -1]  # rounding must not reach past the last likely token
        tokens = torch.searchsorted(cumulative, below[:, None], right=True).squeeze(1).clamp(max=logits.shape[1] - 1)
    chosen = log_probs.gather(1, tokens[:, None]).squeeze(1)
    if chosen.isnan().any():
        raise RlhfError("the policy's logits are NaN; its weights diverged, train it again with a lower learning rate")
    return tokens, chosen
