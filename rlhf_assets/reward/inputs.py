"""From a rated row to what the model reads: two segments, the question with what came before it, and the answer."""

import json
import re
from collections.abc import Sequence

from transformers import BatchEncoding, PreTrainedTokenizerBase

Features = dict[str, list[int]]  # one row's input_ids, attention_mask, ...


def before(query: str, context: str, steps_before: str) -> tuple[str, str, str]:
    """The first segment's parts, each ending its own lines: earlier turns, the question, the answer's earlier steps."""
    turns = "".join(f"{turn['role']}: {turn['content']}\n" for turn in json.loads(context))
    return turns, f"{query}\n", "".join(f"{step}\n" for step in json.loads(steps_before))


def pair(query: str, response: str, context: str = "[]", steps_before: str = "[]") -> tuple[str, str]:
    """The model's two segments for an answer, or for one step when `response` is a step.

    `context` is a JSON list of {role, content}, oldest first; `steps_before` a JSON list of texts.
    """
    return "".join(before(query, context, steps_before)), response


def encode(
    tokenizer: PreTrainedTokenizerBase,
    queries: Sequence[str],
    responses: Sequence[str],
    contexts: Sequence[str] | None = None,
    steps_before: Sequence[str] | None = None,
) -> list[Features]:
    """Tokenise rows, unpadded, each at most `tokenizer.model_max_length` long.

    A row that is too long loses its earlier turns first, then its earlier steps (both oldest first), then the end of
    its answer; the question is cut only where it alone fills more than half of the room.
    """
    nothing = ["[]"] * len(queries)
    rows = list(zip(queries, responses, contexts or nothing, steps_before or nothing, strict=True))
    if not rows:
        return []
    segments = [pair(*row) for row in rows]
    whole = tokenizer([first for first, _ in segments], [second for _, second in segments], verbose=False)
    features: list[Features] = [{name: whole[name][i] for name in whole} for i in range(len(rows))]
    for i, (query, response, context, steps) in enumerate(rows):
        if len(features[i]["input_ids"]) > tokenizer.model_max_length:
            features[i] = dict(shortened(tokenizer, before(query, context, steps), response))
    return features


def shortened(tokenizer: PreTrainedTokenizerBase, parts: tuple[str, str, str], response: str) -> BatchEncoding:
    """Tokenise one over-long row within `tokenizer.model_max_length`."""
    turns, question, steps = parts
    spare = tokenizer.model_max_length - len(tokenizer(question, response, verbose=False)["input_ids"])
    kept_steps = tail(tokenizer, steps, spare)
    spare -= len(tokenizer(kept_steps, add_special_tokens=False)["input_ids"])
    return tokenizer(
        tail(tokenizer, turns, spare) + question + kept_steps,
        response,
        truncation="longest_first",  # the answer's end, until question and answer are of one length
        max_length=tokenizer.model_max_length,
    )


def tail(tokenizer: PreTrainedTokenizerBase, text: str, tokens: int) -> str:
    """The last whole words of `text` that make at most `tokens` tokens, all of it where that fits."""
    starts = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(starts) <= tokens:
        return text
    return re.sub(r"^\S*\s*", "", text[starts[-tokens][0] :]) if tokens > 0 else ""
