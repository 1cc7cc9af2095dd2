"""Policies side by side on prompts that nothing was trained on: their answers, scores, distance from the reference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets.policy.answers import decode, encode_rows
from rlhf_assets.policy.chat import load_tokenizer, stop_tokens
from rlhf_assets.policy.comparison import NO_LANGUAGE, Answers, compare
from rlhf_assets.policy.language import language_figures
from rlhf_assets.policy.log_probs import reply_log_probs
from rlhf_assets.policy.rewards import check_scores
from rlhf_assets.policy.rollouts import Score, texts_of
from rlhf_assets.policy.sampling import Reply, sample, seed_of
from rlhf_assets.policy.settings import EvaluationSettings
from rlhf_assets.policy.weights import context_length, load_policy, sampling_copy
from rlhf_assets.progress import Progress

BEST_OF_N = "best_of_n"


@dataclass(frozen=True)
class EvaluationOutcome:
    """figures: per policy under `policies`, per pair under `win_rates`; samples: a row a prompt and policy."""

    figures: dict[str, Any]
    samples: pd.DataFrame


@dataclass(frozen=True)
class Answered:
    """One policy's replies to all prompts, with the log-probability that it gave each whole reply, nats.

    language: what `language_figures` says of the policy.
    """

    prompts: list[list[int]]
    replies: list[Reply]
    texts: list[str]
    log_probs: np.ndarray
    language: Mapping[str, float | None]


def evaluate_policies(
    policies: Mapping[str, str | Path],
    prompts: pd.DataFrame,
    scorers: Mapping[str, Score],
    reference: str,
    settings: EvaluationSettings,
    compute: Compute,
    best_of_score: Score | None = None,
    personal_data: PersonalData | None = None,
) -> EvaluationOutcome:
    """Let every policy answer the same prompts with the same generators, and compare.

    One policy is in memory at a time, and a copy of it that samples.

    policies: name -> folder, the reference among them; prompts: {prompt_id, query, context, system_prompt, segment},
    the last of which may be missing. best_of_score: the reward that PPO followed; with it "best_of_n" takes part, the
    reference's reply that this reward likes best, and never one that a judge chose.
    Figures are JSON: `policies` {name: {scorer: interval, kl (nats a reply, to the reference), length (tokens),
    stop_rate, repetition, faulty and its parts as `text_figures` tells them, language as `language_figures` does}},
    `win_rates` {"ppo_vs_sft": {scorer: interval, length_controlled: interval}} for every pair, the later of `policies`
    and above all "ppo" first, `by_kind` {"ppo_vs_sft": {kind of prompt: {judge: interval, n}}} for "ppo" against "sft"
    and "promoted", `reference`, `best_of`, `prompts`. best_of_n has no weights: its language is None, its `kl` the
    bound of `best_of_n_kl`. Raises RlhfError on no prompts or scores that are not finite.
    """
    if prompts.empty:
        raise RlhfError("there are no held-out prompts to compare policies on; collect more feedback")
    chosen = prompts.sort_values("prompt_id").sample(
        min(settings.prompts, len(prompts)), random_state=np.random.default_rng(settings.seed)
    )
    rows = chosen.to_dict("records")
    queries, contexts = [row["query"] for row in rows], texts_of(rows, "context", "[]")
    progress = Progress("evaluation", len(policies) + 1 + (best_of_score is not None))
    answered = {}
    for name, folder in policies.items():
        answered[name] = answer(folder, rows, settings, compute)
        progress.step(f"{name} answered {len(rows)} prompts")
    distances = kl_to_reference(policies, reference, answered, settings, compute)
    progress.step("kl to the reference")
    if best_of_score is not None:
        first = answered[reference]
        answered[BEST_OF_N] = best_of_n(policies[reference], first, queries, contexts, best_of_score, settings, compute)
        distances[BEST_OF_N] = np.full(len(rows), best_of_n_kl(settings.best_of))
        progress.step(f"the best of {settings.best_of} replies to each prompt")

    answers = {
        name: Answers(
            mine.texts,
            np.array([len(reply.tokens) for reply in mine.replies]),
            np.array([reply.stopped for reply in mine.replies]),
            distances[name],
            {by: check_scores(score(queries, mine.texts, contexts), len(rows)) for by, score in scorers.items()},
            mine.language,
        )
        for name, mine in answered.items()
    }
    personal_data = personal_data or PersonalData(CleaningSettings().phone_regions)
    figures = {
        **compare(answers, rows, personal_data, settings.seed),
        "reference": reference,
        "best_of": settings.best_of,
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
                    "stopped": mine.stopped,
                    **mine.scores,
                }
            )
            for name, mine in answers.items()
        ],
        ignore_index=True,
    )
    return EvaluationOutcome(figures, samples)


def answer(
    folder: str | Path, rows: Sequence[Mapping[Any, Any]], settings: EvaluationSettings, compute: Compute
) -> Answered:
    """One policy's sampled replies, and its language."""
    model, tokenizer = load_policy(folder, compute)
    prompts = encode_prompts(model, tokenizer, rows, settings)
    seeds = [seed_of(settings.seed, i) for i in range(len(rows))]
    replies = draw(folder, model, tokenizer, prompts, seeds, settings, compute)
    log_probs = whole_log_probs(model, prompts, replies, settings, compute)
    texts = [decode(tokenizer, reply) for reply in replies]
    return Answered(prompts, replies, texts, log_probs, language_figures(model, tokenizer, compute))


def draw(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    settings: EvaluationSettings,
    compute: Compute,
) -> list[Reply]:
    """A reply to each prompt, by its own seed."""
    return sample(
        sampling_copy(model, compute),
        prompts,
        seeds,
        stop_tokens(str(folder), tokenizer),
        settings.max_new_tokens,
        settings.temperature,
        settings.batch_size,
    )


def best_of_n(
    folder: str | Path,
    first: Answered,
    queries: list[str],
    contexts: list[str],
    score: Score,
    settings: EvaluationSettings,
    compute: Compute,
) -> Answered:
    """Of `best_of` replies to each prompt the one that scores best: the policy's `first` one, and others drawn here."""
    model, tokenizer = load_policy(folder, compute)
    n, rows = settings.best_of, range(len(queries))
    seeds = [seed_of(settings.seed, i, k) for k in range(1, n) for i in rows]
    others = draw(folder, model, tokenizer, first.prompts * (n - 1), seeds, settings, compute)
    replies = [*first.replies, *others]
    texts = [*first.texts, *(decode(tokenizer, reply) for reply in others)]
    scores = check_scores(score(queries * n, texts, contexts * n), len(replies)).reshape(n, -1)
    best = [int(k) * len(queries) + i for i, k in enumerate(scores.argmax(0))]
    return Answered(
        first.prompts,
        [replies[at] for at in best],
        [texts[at] for at in best],
        log_probs=np.full(len(best), np.nan),
        language=NO_LANGUAGE,
    )


def best_of_n_kl(n: int) -> float:
    """What its distance from the policy that it draws from is at most, nats a reply (Stiennon 2020, G.3; Beirami 2024).

    A log-ratio of its own there is none: nobody knows with what probability the best of n is a certain reply.
    """
    return math.log(n) - (n - 1) / n


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
    return reply_log_probs(model, prompts, tokens, settings.temperature, settings.micro_batch_size, compute)
