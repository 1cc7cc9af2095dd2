"""The policy: supervised fine-tuning, PPO, sampling, evaluation, promotion. Pure torch, no orchestration."""

from collections.abc import Mapping, Sequence
from typing import Any


def generate(
    model: str, rows: Sequence[Mapping[str, Any]], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
) -> list[dict[str, Any]]:
    """Answer rows of {query, context (optional), system_prompt (optional)} with the model of a folder or hub name.

    Returns {"response": text, "stopped": whether it ended by itself} for each; temperature 0 takes the likeliest token.
    """
    from rlhf_assets.policy.answers import answer_with

    return answer_with(str(model), rows, max_new_tokens, temperature, seed)
