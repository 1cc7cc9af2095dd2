"""From a rated row to what the model reads: two segments, the question with what came before it, and the answer."""

import json
import re
from collections.abc import Sequence

import pandas as pd
from transformers import BatchEncoding, PreTrainedTokenizerBase

TEXTS = ["query", "response", "context", "steps_before"]  # what the model reads of a vote
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

    A row that is too long loses its earlier turns first, then its earlier steps (both oldest first), then the start of
    its answer, whose end says whether it got anywhere; the question is cut, at its end, only where it alone fills more
    than half of the room.
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


def encode_frame(tokenizer: PreTrainedTokenizerBase, texts: pd.DataFrame) -> list[Features]:
    """Each row's columns TEXTS, encoded."""
    return encode(tokenizer, *(texts[name].tolist() for name in TEXTS))


def shortened(tokenizer: PreTrainedTokenizerBase, parts: tuple[str, str, str], response: str) -> BatchEncoding:
    """Tokenise one over-long row within `tokenizer.model_max_length`."""
    turns, question, steps = parts
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add(pair=True)
    asked = len(tokenizer(question, add_special_tokens=False, verbose=False)["input_ids"])
    answer = tail(tokenizer, response, max(room - asked, room // 2))
    spare = room - asked - len(tokenizer(answer, add_special_tokens=False)["input_ids"])
    kept_steps = tail(tokenizer, steps, spare)
    spare -= len(tokenizer(kept_steps, add_special_tokens=False)["input_ids"])
    return tokenizer(
        tail(tokenizer, turns, spare) + question + kept_steps,
        answer,
        truncation="longest_first",  # a question of more than half, and what parting words made more of them
        max_length=tokenizer.model_max_length,
    )


def tail(tokenizer: PreTrainedTokenizerBase, text: str, tokens: int) -> str:
    """The last words of `text` that make at most about `tokens` tokens, all of it where that fits; whole words, except
    in what has hardly any spaces, as Chinese has."""
    starts = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(starts) <= tokens:
        return text
    if tokens <= 0:
        return ""
    start = starts[-tokens][0]
    whole = start == 0 or text[start - 1].isspace()
    return text[start:] if whole else re.sub(r"^\S{0,30}\s+", "", text[start:])
