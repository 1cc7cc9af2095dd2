"""Neutral files of people's judgments as frames to learn from, and what a model is asked about them.

A line is an object with `group`, which no split may cut through, and `query`; with `chosen` and `rejected` (a pair),
with `response` and `score` in [0, 1] (a rating), or with `steps`, each of `text` and `score`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.inputs import TEXTS

VOTE = [*TEXTS, "kind", "score", "is_thumb", "user_id"]


@dataclass(frozen=True)
class Judgments:
    """n judgments of one shape ("pairs", "ratings", "steps").

    groups: (n,). asked: texts (m rows of TEXTS) to be scored. first, second: (n,) numbers of texts, the chosen and the
    rejected one of a pair; of a rating both are the text itself. given: (n,) ratings, all 1 for pairs.
    """

    shape: str
    groups: np.ndarray
    asked: pd.DataFrame
    first: np.ndarray
    second: np.ndarray
    given: np.ndarray

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
    """The file's judgments. Raises RlhfError with the line's number for one of another shape than the first, and where
    they are of fewer groups."""
    texts: dict[tuple[str, ...], int] = {}
    found: list[tuple[Any, ...]] = []
    shape = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            made = list(one(row, texts))
            own = shape_of(row)
        except (ValueError, KeyError, TypeError):
            raise RlhfError(
                f"{path} line {number} is no judgment; see benchmarks/judgments.py for the shapes"
            ) from None
        shape = shape or own
        if own != shape:
            raise RlhfError(f"{path} line {number} holds {own}, the lines before {shape}")
        found += made
    if (there := len({group for group, *_ in found})) < groups_needed:
        raise RlhfError(f"{path} has judgments of {there} groups, fewer than {groups_needed}")
    groups, first, second, given = (np.array(column) for column in zip(*found, strict=True))
    return Judgments(shape, groups.astype(str), pd.DataFrame(list(texts), columns=TEXTS), first, second, given)


def shape_of(row: dict[str, Any]) -> str:
    return "pairs" if "chosen" in row else "steps" if "steps" in row else "ratings"


def one(row: dict[str, Any], texts: dict[tuple[str, ...], int]) -> Any:
    """(group, first, second, given) of each judgment on that line, its texts numbered in `texts`."""

    def number(response: str, before: list[str]) -> int:
        return texts.setdefault((str(row["query"]), str(response), "[]", json.dumps(before)), len(texts))

    group, shape = str(row["group"]), shape_of(row)
    if shape == "pairs":
        yield group, number(row["chosen"], []), number(row["rejected"], []), 1.0
    elif shape == "ratings":
        rated = number(row["response"], [])
        yield group, rated, rated, float(row["score"])
    else:
        before: list[str] = []
        for step in row["steps"]:
            rated = number(step["text"], before)
            yield group, rated, rated, float(step["score"])
            before = [*before, step["text"]]
