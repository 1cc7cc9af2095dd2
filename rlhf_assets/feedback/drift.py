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
    return {name: compare(classes(now), classes(before), now, before) for name, classes in WATCHED.items()}


def compare(
    classes: pd.Series, classes_before: pd.Series, now: pd.DataFrame, before: pd.DataFrame
) -> dict[str, object]:
    codes, names = pd.factorize(pd.concat([classes, classes_before], ignore_index=True))
    sides = [
        counts(votes["week"] + " " + votes["rater"], side, len(names))
        for votes, side in ((now, codes[: len(now)]), (before, codes[len(now) :]))
    ]
    observed = [side.sum(axis=0) for side in sides]
    terms = psi_terms(*observed)
    everybody = np.concatenate(sides)
    draw, total = np.random.default_rng(0), everybody.sum(axis=0)
    shuffled = np.array(
        [everybody[draw.permutation(len(everybody))[: len(sides[0])]].sum(axis=0) for _ in range(SHUFFLES)]
    )
    by_chance = psi_terms(shuffled, total - shuffled).sum(axis=-1)
    most = int(terms.argmax())
    return {
        "psi": float(terms.sum()),
        "p": float((1 + (by_chance >= terms.sum() - 1e-12).sum()) / (1 + SHUFFLES)),
        "moved": {
            "name": str(names[most]),
            "before": float(observed[1][most] / observed[1].sum()),
            "now": float(observed[0][most] / observed[0].sum()),
        },
    }


def counts(people: pd.Series, codes: np.ndarray, classes: int) -> np.ndarray:
    """How many votes of each person fall into each class: (people, classes)."""
    person, names = pd.factorize(people)
    return np.bincount(person * classes + codes, minlength=len(names) * classes).reshape(len(names), classes)


def psi_terms(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """What each class adds to the PSI of two distributions, given as counts (..., classes).

    The sum of (p - q) ln(p / q), as in Siddiqi, Credit Risk Scorecards (2006).
    """
    p, q = ((side + PSEUDO_COUNT) / (side + PSEUDO_COUNT).sum(axis=-1, keepdims=True) for side in (now, before))
    return (p - q) * np.log(p / q)
