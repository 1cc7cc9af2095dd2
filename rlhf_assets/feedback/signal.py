"""How much votes say that the ones before them did not: how many are new, and what difference so many could show."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

# a two-sided test at the 5 % level finds what lies this many standard errors apart with 80 % power
FOUND = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)


@dataclass(frozen=True)
class Signal:
    """`new`: votes that were not known or not given so before. `difference`: the smallest one between their mean score
    and that of the others that they could show, in scores of 0 to 1; None where one of the two is empty."""

    new: int
    difference: float | None


def signal(before: pd.DataFrame, now: pd.DataFrame) -> Signal:
    """What the votes of `now` say beyond those of `before`, both with vote_id and score, the former with `cluster`.

    A vote that its giver has changed is new. Votes on one question are alike, so they count for less than as many on
    questions of their own (Kish's design effect).
    """
    given = ["vote_id", "score"]
    is_new = ~pd.MultiIndex.from_frame(now[given]).isin(pd.MultiIndex.from_frame(before[given]))
    new, others = now[is_new], now[~is_new]
    if new.empty or others.empty:
        return Signal(len(new), None)
    alike = likeness(now)
    error = np.sqrt(sum(design_effect(rows, alike) / len(rows) for rows in (new, others)))
    return Signal(len(new), float(FOUND * now["score"].std(ddof=0) * error))


def likeness(votes: pd.DataFrame) -> float:
    """How alike scores within a cluster are: the intraclass correlation by analysis of variance, at least 0."""
    sizes = votes.groupby("cluster")["score"].size().to_numpy()
    within, between = len(votes) - len(sizes), len(sizes) - 1
    if not within or not between:
        return 0.0
    means = votes.groupby("cluster")["score"].transform("mean")
    of_clusters = ((means - votes["score"].mean()) ** 2).sum() / between
    of_votes = ((votes["score"] - means) ** 2).sum() / within
    usual = (len(votes) - (sizes**2).sum() / len(votes)) / between
    spread = of_clusters + (usual - 1) * of_votes
    return max(0.0, float((of_clusters - of_votes) / spread)) if spread else 0.0


def design_effect(votes: pd.DataFrame, alike: float) -> float:
    """How many times a mean of these votes varies more than one of as many unrelated votes."""
    sizes = votes["cluster"].value_counts()
    return 1 + alike * (float((sizes**2).sum()) / len(votes) - 1)
