"""Whether this week's votes are distributed as earlier ones: the population stability index (PSI), against chance."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

PSEUDO_COUNT = 0.5  # added to every class, so that one nobody fell into has no infinite weight (Jeffreys)
SHUFFLES = 199  # of people between the two sides; the least p there can be is 1 / 200


def rating(votes: pd.DataFrame) -> pd.Series:
    points = (votes["score"] * 4 + 1).round().astype("int64").astype("str")
    thumb = pd.Series(np.where(votes["score"] > 0.5, "thumb up", "thumb down"), index=votes.index)
    return thumb.where(votes["is_thumb"], "score " + points)


def length(votes: pd.DataFrame) -> pd.Series:
    """The octave that an answer's length lies in, in characters; the same classes every week."""
    low = 2 ** np.log2(votes["characters"].clip(lower=1)).astype("int64")
    return low.astype("str") + " to " + (2 * low - 1).astype("str")


WATCHED: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    "ratings": rating,
    "answer_lengths": length,
    "segments": lambda votes: votes["segment"],
    "model_versions": lambda votes: votes["model_version"],
}


def drift(now: pd.DataFrame, before: pd.DataFrame, minimum_votes: int) -> dict[str, dict[str, object] | None]:
    """For each of WATCHED {psi, p, moved: {name, before, now}}; None when either side has fewer than `minimum_votes`.

    p is how often the PSI is as large when people are shuffled between the two sides: one person's votes are alike, so
    people are exchanged and not votes. `moved` is the class that adds most, with its shares.
    """
    if min(len(now), len(before)) < minimum_votes:
        return dict.fromkeys(WATCHED)
    both = pd.concat([now, before], ignore_index=True)
    person, people = pd.factorize(both["week"] + " " + both["rater"])
    ours = np.zeros(len(people), dtype=bool)
    ours[person[: len(now)]] = True
    draw = np.random.default_rng(0)
    sides = np.array([ours, *(draw.permutation(ours) for _ in range(SHUFFLES))], dtype=np.float32)  # exact to 2**24
    return {name: compare(sides, person, classes(both)) for name, classes in WATCHED.items()}


def compare(sides: np.ndarray, person: np.ndarray, classes: pd.Series) -> dict[str, object]:
    """`sides` (1 + SHUFFLES, people) is 1 for who stands on this week's side, first as it is, then shuffled."""
    codes, names = pd.factorize(classes)
    each = np.bincount(person * len(names) + codes, minlength=sides.shape[1] * len(names)).reshape(-1, len(names))
    now = (sides @ each.astype(np.float32)).astype(float)
    before = each.sum(axis=0) - now
    terms = psi_terms(now, before)
    by_chance, psi = terms[1:].sum(axis=-1), float(terms[0].sum())
    most = int(terms[0].argmax())
    return {
        "psi": psi,
        "p": float((1 + (by_chance >= psi - 1e-12).sum()) / (1 + SHUFFLES)),
        "moved": {
            "name": str(names[most]),
            "before": float(before[0, most] / before[0].sum()),
            "now": float(now[0, most] / now[0].sum()),
        },
    }


def psi_terms(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """What each class adds to the PSI of two distributions, given as counts (..., classes).

    The sum of (p - q) ln(p / q), as in Siddiqi, Credit Risk Scorecards (2006).
    """
    p, q = ((side + PSEUDO_COUNT) / (side + PSEUDO_COUNT).sum(axis=-1, keepdims=True) for side in (now, before))
    return (p - q) * np.log(p / q)
