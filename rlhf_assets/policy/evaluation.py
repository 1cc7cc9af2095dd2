"""Policies side by side on prompts that nothing was trained on: scores, win rates, distance from the reference."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.answers import decode, encode_rows
from rlhf_assets.policy.chat import load_tokenizer, stop_tokens
from rlhf_assets.policy.log_probs import reply_log_probs
from rlhf_assets.policy.rewards import check_scores
from rlhf_assets.policy.rollouts import texts_of
from rlhf_assets.policy.sampling import Reply, sample, seed_of
from rlhf_assets.policy.settings import EvaluationSettings
from rlhf_assets.policy.weights import context_length, load_policy, sampling_copy
from rlhf_assets.progress import Progress
from rlhf_assets.statistics import bootstrap, win_rate

Scorer = Callable[[list[str], list[str], list[str]], np.ndarray]  # queries, responses, contexts -> (rows,)


CANDIDATE = "ppo"  # stands first in its pairs, whatever the order of the policies


@dataclass(frozen=True)
class EvaluationOutcome:
    """figures: per policy under `policies`, per pair under `win_rates`; samples: a row a prompt and policy."""

    figures: dict[str, Any]
    samples: pd.DataFrame


@dataclass(frozen=True)
class Answered:
    """One policy's replies to all prompts, with the log-probability that it gave each whole reply, nats."""

    prompts: list[list[int]]
    replies: list[Reply]
    texts: list[str]
    log_probs: np.ndarray


def evaluate_policies(
    policies: Mapping[str, str | Path],
    prompts: pd.DataFrame,
    scorers: Mapping[str, Scorer],
    reference: str,
    settings: EvaluationSettings,
    compute: Compute,
) -> EvaluationOutcome:
    """Let every policy answer the same prompts with the same generators, and compare; one model in memory at a time.

    policies: name -> folder, the reference among them; prompts: {prompt_id, query, context, system_prompt}.
    Figures are JSON: `policies` {name: {scorer: interval, kl (nats a reply, to the reference), length (tokens),
    stop_rate, repetition}}, `win_rates` {"ppo_vs_sft": {scorer: interval}} for every pair, the later of `policies`
    and above all "ppo" first, `reference`, `prompts`. Raises RlhfError on no prompts or scores that are not finite.
    """
    if prompts.empty:
        raise RlhfError("there are no held-out prompts to compare policies on; collect more feedback")
    chosen = prompts.sort_values("prompt_id").sample(
        min(settings.prompts, len(prompts)), random_state=np.random.default_rng(settings.seed)
    )
    rows = chosen.to_dict("records")
    progress = Progress("evaluation", len(policies) + 1)
    answered = {}
    for name, folder in policies.items():
        answered[name] = answer(folder, rows, settings, compute)
        progress.step(f"{name} answered {len(rows)} prompts")
    distances = kl_to_reference(policies, reference, answered, settings, compute)
    progress.step("kl to the reference")

    queries, contexts = [row["query"] for row in rows], texts_of(rows, "context", "[]")
    scores = {
        name: {
            scorer: check_scores(score(queries, mine.texts, contexts), len(rows)) for scorer, score in scorers.items()
        }
        for name, mine in answered.items()
    }
    figures = {
        "policies": {
            name: policy_figures(mine, scores[name], distances[name], settings.seed) for name, mine in answered.items()
        },
        "win_rates": {
            f"{ours}_vs_{theirs}": {
                scorer: win_rate(scores[ours][scorer], scores[theirs][scorer], settings.seed).as_dict()
                for scorer in scorers
            }
            for theirs, ours in combinations(sorted(policies, key=CANDIDATE.__eq__), 2)
        },
        "reference": reference,
        "prompts": len(rows),
    }
    samples = pd.concat(
        [
            pd.DataFrame(
                {
                    "prompt_id": chosen["prompt_id"].to_numpy(),
                    "query": queries,
                    "policy": name,
                    "response": mine.texts,
                    "stopped": [reply.stopped for reply in mine.replies],
                    **scores[name],
                }
            )
            for name, mine in answered.items()
        ],
        ignore_index=True,
    )
    return EvaluationOutcome(figures, samples)


def answer(
    folder: str | Path, rows: Sequence[Mapping[Any, Any]], settings: EvaluationSettings, compute: Compute
) -> Answered:
    """One policy's sampled replies."""
    model, tokenizer = load_policy(folder, compute)
    prompts = encode_prompts(model, tokenizer, rows, settings)
    replies = sample(
        sampling_copy(model, compute),
        prompts,
        [seed_of(settings.seed, i) for i in range(len(rows))],
        stop_tokens(str(folder), tokenizer),
        settings.max_new_tokens,
        settings.temperature,
        settings.batch_size,
    )
    log_probs = whole_log_probs(model, prompts, replies, settings, compute)
    return Answered(prompts, replies, [decode(tokenizer, reply) for reply in replies], log_probs)


def encode_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[Any, Any]],
    settings: EvaluationSettings,
) -> list[list[int]]:
    """Prompt ids within the model's context and the setting's limit."""
    context = min(context_length(model), settings.max_prompt_tokens + settings.max_new_tokens)
    return encode_rows(tokenizer, rows, context, settings.max_new_tokens)


def kl_to_reference(
    policies: Mapping[str, str | Path],
    reference: str,
    answered: Mapping[str, Answered],
    settings: EvaluationSettings,
    compute: Compute,
) -> dict[str, np.ndarray]:
    """log policy - log reference of each whole reply (rows,), k1 summed over its tokens, nats; 0 for the reference.

    NaN for a policy with another vocabulary, such as one promoted before the base model was changed.
    """
    model, tokenizer = load_policy(policies[reference], compute)
    distances = {}
    for name, mine in answered.items():
        if name == reference:
            distances[name] = np.zeros(len(mine.replies))
        elif load_tokenizer(str(policies[name])).get_vocab() != tokenizer.get_vocab():
            distances[name] = np.full(len(mine.replies), np.nan)
        else:
            distances[name] = mine.log_probs - whole_log_probs(model, mine.prompts, mine.replies, settings, compute)
    return distances


def whole_log_probs(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    replies: Sequence[Reply],
    settings: EvaluationSettings,
    compute: Compute,
) -> np.ndarray:
    """Log-probability of each whole reply at the sampling temperature, (rows,) nats."""
    tokens = [reply.tokens for reply in replies]
    return reply_log_probs(model, prompts, tokens, settings.temperature or 1.0, settings.micro_batch_size, compute)


def policy_figures(
    answered: Answered, scores: Mapping[str, np.ndarray], distances: np.ndarray, seed: int
) -> dict[str, Any]:
    """One policy's scores with intervals, KL, length, stop rate, repetition."""
    return {
        **{name: bootstrap(np.mean, values, seed=seed).as_dict() for name, values in scores.items()},
        "kl": float(distances.mean()),
        "length": float(np.mean([len(reply.tokens) for reply in answered.replies])),
        "stop_rate": float(np.mean([reply.stopped for reply in answered.replies])),
        "repetition": float(np.mean([repetition(text) for text in answered.texts])),
    }


def repetition(text: str) -> float:
    """Share of a text's word trigrams that stood in it before; 0 when it has none."""
    words = re.findall(r"\w+", text.lower())
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(trigrams)) / len(trigrams) if trigrams else 0.0
