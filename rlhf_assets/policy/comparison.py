"""What follows from the policies' answers and their scores alone: figures of each, win rates of each pair, by kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.policy.chat import conversation_of
from rlhf_assets.policy.generated_text import repetition, text_figures
from rlhf_assets.policy.length_control import length_controlled_win_rate
from rlhf_assets.statistics import bootstrap, win_rate

CANDIDATE = "ppo"  # stands first in its pairs, whatever the order of the policies
PROMOTED, REFERENCE = "promoted", "sft"
JUDGE = "judge"  # the scorer that decides
NO_LANGUAGE = {"perplexity": None, "nats_per_character": None, "questions_right": None}


@dataclass(frozen=True)
class Answers:
    """One policy's answers to the same prompts, row by row.

    lengths: tokens, stopped: whether it ended by itself, kl: to the reference, nats, all (rows,); scores: (rows,) by
    scorer. language: what `language_figures` says of it.
    """

    texts: Sequence[str]
    lengths: np.ndarray
    stopped: np.ndarray
    kl: np.ndarray
    scores: Mapping[str, np.ndarray]
    language: Mapping[str, float | None]


def compare(
    answers: Mapping[str, Answers], rows: Sequence[Mapping[Any, Any]], personal_data: PersonalData, seed: int
) -> dict[str, Any]:
    """Figures of the answers to the prompts `rows`; see `evaluate_policies`."""
    pairs = [(ours, theirs) for theirs, ours in combinations(sorted(answers, key=CANDIDATE.__eq__), 2)]
    pairs.sort(key=lambda pair: pair[0] != CANDIDATE)  # what is to be decided is read first
    return {
        "policies": {name: policy_figures(mine, rows, personal_data, seed) for name, mine in answers.items()},
        "win_rates": {
            f"{ours}_vs_{theirs}": pair_figures(answers[ours], answers[theirs], seed) for ours, theirs in pairs
        },
        "by_kind": {
            f"{ours}_vs_{theirs}": kind_figures(answers[ours], answers[theirs], kinds(rows), seed)
            for ours, theirs in pairs
            if ours == CANDIDATE and theirs in (PROMOTED, REFERENCE)
        },
    }


def policy_figures(
    answers: Answers, rows: Sequence[Mapping[Any, Any]], personal_data: PersonalData, seed: int
) -> dict[str, Any]:
    """One policy's scores with intervals, KL, length, stop rate, faults of its texts, language."""
    return {
        **{name: bootstrap(np.mean, values, seed=seed).as_dict() for name, values in answers.scores.items()},
        "kl": float(answers.kl.mean()),
        "length": float(answers.lengths.mean()),
        "stop_rate": float(answers.stopped.mean()),
        "repetition": float(np.mean([repetition(text) for text in answers.texts])),
        **text_figures([prompt_text(row) for row in rows], answers.texts, personal_data),
        **answers.language,
    }


def prompt_text(row: Mapping[Any, Any]) -> str:
    """All that the policy was told: the operator's own address, say, stands in the system prompt."""
    return "\n".join(turn["content"] for turn in conversation_of(row))


def pair_figures(ours: Answers, theirs: Answers, seed: int) -> dict[str, dict[str, float]]:
    """How often ours wins by each scorer, and by the judge at equal length, as `length_controlled`."""
    rates = {name: win_rate(mine, theirs.scores[name], seed).as_dict() for name, mine in ours.scores.items()}
    if JUDGE in rates:
        rates["length_controlled"] = length_controlled_win_rate(
            ours.scores[JUDGE], theirs.scores[JUDGE], characters(ours), characters(theirs), seed
        ).as_dict()
    return rates


def characters(answers: Answers) -> np.ndarray:
    return np.array([len(text) for text in answers.texts], float)


def kind_figures(
    ours: Answers, theirs: Answers, kinds: Mapping[str, np.ndarray], seed: int
) -> dict[str, dict[str, Any]]:
    """The judge's win rate on each kind of prompt, and how many these are."""
    if JUDGE not in ours.scores:
        return {}
    return {
        kind: {
            "judge": win_rate(ours.scores[JUDGE][of], theirs.scores[JUDGE][of], seed).as_dict(),
            "n": int(of.sum()),
        }
        for kind, of in kinds.items()
    }


def kinds(rows: Sequence[Mapping[Any, Any]]) -> dict[str, np.ndarray]:
    """Which prompts (rows,) are of each kind: by who asked, and whether they open their chat."""
    asked = [sum(turn["role"] != "system" for turn in conversation_of(row)) for row in rows]
    cuts = [
        ["first question" if turns == 1 else "follow-up" for turns in asked],
        [f"segment {segment}" if isinstance(segment := row.get("segment"), str) else "segment unknown" for row in rows],
    ]
    return {kind: np.array(cut) == kind for cut in cuts for kind in sorted(set(cut))}
