"""Neutral files of people's judgments as frames to learn from, and what a model is asked about them.

A line is an object with `group`, which no split may cut through, and `query`; with `chosen` and `rejected` (a pair),
with `response` and `score` in [0, 1] (a rating), or with `steps`, each of `text` and `score`, null where nobody judged
it. A line of another shape than the first, or of none, is left out.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.inputs import TEXTS

log = logging.getLogger("rlhf_assets.benchmarks")

VOTE = [*TEXTS, "kind", "score", "is_thumb", "user_id"]


@dataclass(frozen=True)
class Judgments:
    """n judgments of one shape ("pairs", "ratings", "steps").

    groups: (n,). asked: texts (m rows of TEXTS) to be scored. first, second: (n,) numbers of texts, the chosen and the
    rejected one of a pair; of a rating both are the text itself. given: (n,) ratings, all 1 for pairs. left_out: lines.
    """

    shape: str
    groups: np.ndarray
    asked: pd.DataFrame
    first: np.ndarray
    second: np.ndarray
    given: np.ndarray
    left_out: int

    def votes(self, rows: np.ndarray) -> pd.DataFrame:
        """These judgments as votes; none of a pair."""
        chosen = rows if self.shape != "pairs" else rows[:0]
        kind = "step" if self.shape == "steps" else "message"
        votes = self.asked.iloc[self.first[chosen]].assign(
            kind=kind, score=self.given[chosen], is_thumb=False, user_id=None
        )
        return votes[VOTE].reset_index(drop=True)

    def pairs(self, rows: np.ndarray) -> pd.DataFrame | None:
        """These judgments as judged pairs; None where they are ratings."""
        if self.shape != "pairs":
            return None
        chosen, rejected = (
            self.asked.iloc[numbers[rows]].reset_index(drop=True) for numbers in (self.first, self.second)
        )
        pairs = chosen.rename(columns={"response": "chosen"})[["query", "context", "chosen"]]
        return pairs.assign(rejected=rejected["response"])


def read_judgments(path: Path, groups_needed: int = 1) -> Judgments:
    """The file's judgments. Raises RlhfError where they are of fewer groups."""
    texts: dict[tuple[str, ...], int] = {}
    found: list[tuple[Any, ...]] = []
    left_out: list[int] = []
    shape = ""
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            own = shape or shape_of(row)
            found += one(row, own, texts)
            shape = own
        except (ValueError, KeyError, TypeError):
            left_out.append(number)
    if left_out:
        log.warning(
            "%s: %d lines are no %s as benchmarks/judgments.py has them and are left out, first line %d",
            path, len(left_out), shape or "judgments", left_out[0],
        )  # fmt: skip
    if (there := len({group for group, *_ in found})) < groups_needed:
        raise RlhfError(f"{path} has judgments of {there} groups, fewer than {groups_needed}")
    groups, first, second, given = (np.array(column) for column in zip(*found, strict=True))
    asked = pd.DataFrame(list(texts), columns=TEXTS)
    return Judgments(shape, groups.astype(str), asked, first, second, given, len(left_out))


def shape_of(row: dict[str, Any]) -> str:
    return "pairs" if "chosen" in row else "steps" if "steps" in row else "ratings"


def one(row: dict[str, Any], shape: str, texts: dict[tuple[str, ...], int]) -> list[tuple[str, int, int, float]]:
    """(group, first, second, given) of each judgment on that line, its texts numbered in `texts`.

    Raises KeyError, TypeError or ValueError, with no text numbered, where the line is not of that shape.
    """
    group = str(row["group"])
    judged: list[tuple[list[str], str, str, float]]
    if shape == "pairs":
        judged = [([], row["chosen"], row["rejected"], 1.0)]
    elif shape == "ratings":
        judged = [([], row["response"], row["response"], share(row["score"]))]
    else:
        said = [step["text"] for step in row["steps"]]
        judged = [
            (said[:k], step["text"], step["text"], share(step["score"]))
            for k, step in enumerate(row["steps"])
            if step["score"] is not None
        ]

    def number(response: str, before: list[str]) -> int:
        return texts.setdefault((str(row["query"]), str(response), "[]", json.dumps(before)), len(texts))

    return [(group, number(first, before), number(second, before), given) for before, first, second, given in judged]


def share(score: Any) -> float:
    """A score from 0 to 1. Raises ValueError or TypeError for anything else."""
    if not 0 <= (found := float(score)) <= 1:
        raise ValueError(score)
    return found
