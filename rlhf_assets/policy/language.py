"""Whether a policy still has its language: plain English and plain questions, far from what it was trained for.

A policy that follows a reward too far speaks ever worse of everything else (the alignment tax of Ouyang 2022), which no
comparison of its answers on the trained subject shows.
"""

import json
import math
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute
from rlhf_assets.policy.chat import encode, encode_prompt, messages
from rlhf_assets.policy.log_probs import reply_log_probs
from rlhf_assets.policy.weights import context_length

TEXT = Path(__file__).with_name("plain_text.txt")  # paragraphs, parted by an empty line
QUESTIONS = Path(__file__).with_name("plain_questions.jsonl")  # {question, answer, wrong} a line
ROWS = 16  # in one forward pass; memory only


def language_figures(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, compute: Compute) -> dict[str, float]:
    """`perplexity` (a token) and `nats_per_character` of the plain text, `questions_right`, the share of the questions.

    Only nats a character can be compared between policies of different vocabularies.
    """
    paragraphs = TEXT.read_text(encoding="utf-8").strip().split("\n\n")
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    return {
        **text_surprise(model, tokenizer, paragraphs, compute),
        "questions_right": questions_right(model, tokenizer, questions, compute),
    }


def text_surprise(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, paragraphs: list[str], compute: Compute
) -> dict[str, float]:
    """Perplexity a token and nats a character; each paragraph by itself, cut where the model's context ends.

    A paragraph begins as the tokenizer begins a text; its first token, which nothing stands before, does not count.
    """
    ids = [list(tokenizer(paragraph)["input_ids"])[: context_length(model)] for paragraph in paragraphs]
    told = [row[1:] for row in ids]
    nats = -reply_log_probs(model, [row[:1] for row in ids], told, 1.0, ROWS, compute).sum()
    return {
        "perplexity": math.exp(nats / sum(map(len, told))),
        "nats_per_character": float(nats / sum(len(str(tokenizer.decode(row))) for row in told)),
    }


def questions_right(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, questions: list[dict[str, str]], compute: Compute
) -> float:
    """Share of {question, answer, wrong} of which the right answer is the likelier reply.

    By the mean over an answer's tokens, not the sum: each further token costs, so that the sum would take the answer
    that a vocabulary happens to know as one. Where both have as many tokens the two agree.
    """
    limit = context_length(model)
    prompts, answers = [], []
    for row in questions:
        replies = [encode(tokenizer, row[name]) for name in ("answer", "wrong")]
        prompt = encode_prompt(tokenizer, messages(row["question"]), limit - max(map(len, replies)))
        prompts += [prompt, prompt]
        answers += replies
    means = reply_log_probs(model, prompts, answers, 1.0, ROWS, compute) / [len(reply) for reply in answers]
    return float(np.mean(means[::2] > means[1::2]))
