"""What votes teach: each distinct text once, with what its scores and thumbs say, and which answer beats which."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.feedback.split import CHAT
from rlhf_assets.reward.inputs import TEXTS
from rlhf_assets.reward.settings import RewardSettings

PRIOR = 10.0  # votes of no strictness added to each rater's: one vote varies about ten times as much as raters do


@dataclass(frozen=True)
class Lessons:
    """`texts`: n distinct texts, one a row, with the columns TEXTS.

    score, thumb: (n,) each text's mean score in [0, 1], freed of its raters' strictness, and mean thumb (1 up);
    score_weight, thumb_weight: (n,) what these count, 0 where there is none. better, worse, pair_weight: (m,) numbers
    of texts whose answers compete, and what each pair counts. votes: one row a vote with text (its number), user_id,
    given (the rating), is_thumb and weight, from which strictness is estimated anew.
    """

    texts: pd.DataFrame
    score: np.ndarray
    score_weight: np.ndarray
    thumb: np.ndarray
    thumb_weight: np.ndarray
    better: np.ndarray
    worse: np.ndarray
    pair_weight: np.ndarray
    votes: pd.DataFrame

    @property
    def weight(self) -> float:
        """Of everything together."""
        return float(self.score_weight.sum() + self.thumb_weight.sum() + self.pair_weight.sum())


def lessons(votes: pd.DataFrame, settings: RewardSettings, pairs: pd.DataFrame | None = None) -> Lessons:
    """What these rows teach.

    votes: a row a vote, with TEXTS, kind, score in [0, 1], is_thumb, user_id (None where nobody knows) and maybe
    inverse_propensity, by which it counts within maximum_inverse_propensity (see feedback/propensity.py). pairs: a row
    a judgment, with query, context, chosen and rejected, all on one state of a chat together as much as a score; where
    it is not given, answers to one question compete by their ratings, all of these pairs counting pair_weight together.
    A vote whose weight is 0 by the settings is left out, and so is a text without any.
    """
    judged = [] if pairs is None else [asked(pairs, pairs[name]) for name in ("chosen", "rejected")]
    rows = pd.concat([votes[TEXTS], *judged], ignore_index=True)
    number = rows.groupby(TEXTS, sort=False, dropna=False).ngroup().to_numpy()
    texts = rows.loc[~pd.Series(number).duplicated()].reset_index(drop=True)
    of_vote, of_pair = number[: len(votes)], number[len(votes) :].reshape(2, -1)
    weight = np.where(votes["is_thumb"], settings.thumb_weight, settings.score_weight)
    weight = weight * np.where(votes["kind"] == "step", settings.step_weight, 1.0) * propensity_weight(votes, settings)
    given = votes[["user_id", "kind"]].assign(
        text=of_vote, given=votes["score"].to_numpy(float), is_thumb=votes["is_thumb"].to_numpy(bool), weight=weight
    )
    better, worse, pair_weight = *of_pair, 1.0
    if pairs is None and settings.pair_weight:
        better, worse = competing(texts, given[given["kind"] != "step"])
        pair_weight = settings.pair_weight
    given = given[weight > 0]
    used, number = np.unique(np.concatenate([given["text"], better, worse]), return_inverse=True)
    texts = texts.loc[used].reset_index(drop=True)
    of_vote, better, worse = np.split(number, [len(given), len(given) + len(better)])
    given = given.assign(text=of_vote)
    state = texts.groupby(CHAT, sort=False, dropna=False).ngroup().to_numpy()[better]
    share = 1 / np.bincount(state, minlength=1)[state] if len(state) else np.empty(0)
    return Lessons(
        texts,
        **means(given, given["given"] - strictness(given, usual(given)), len(texts)),
        better=better,
        worse=worse,
        pair_weight=pair_weight * share,
        votes=given,
    )


def propensity_weight(votes: pd.DataFrame, settings: RewardSettings) -> np.ndarray:
    """What each vote (n,) counts for how seldom its like is rated; 1 where nobody has counted that."""
    if "inverse_propensity" not in votes:  # judgments, and datasets of an earlier version
        return np.ones(len(votes))
    most = settings.maximum_inverse_propensity
    return votes["inverse_propensity"].clip(1 / most, most).to_numpy()


def asked(pairs: pd.DataFrame, response: pd.Series) -> pd.DataFrame:
    return pairs[CHAT].assign(response=response, steps_before="[]")[TEXTS]


def freed_of_strictness(known: Lessons, expected: np.ndarray) -> Lessons:
    """The lessons with scores from which each rater's strictness is taken, given what each text deserves, (n,)."""
    free = known.votes["given"] - strictness(known.votes, expected[known.votes["text"]])
    return replace(known, **means(known.votes, free, len(known.texts)))


def usual(votes: pd.DataFrame) -> np.ndarray:
    """What is given on average to the kind of each vote, (votes,), by scores alone."""
    scores = votes["given"].mask(votes["is_thumb"])
    return scores.groupby(votes["kind"]).transform("mean").to_numpy()


def strictness(votes: pd.DataFrame, expected: np.ndarray) -> pd.Series:
    """How much more each score's rater gives than `expected` (votes,); 0 for thumbs, and where nobody knows who it is.

    It is the random-intercept estimate sum(given - expected) / (scores + PRIOR), shrunk to 0 where they gave few.
    Strict and lenient people would else look like bad and good answers. A thumb is no point on a scale: nothing can be
    taken from it, and it says little about how strict its giver is. Used in training alone and then thrown away.
    """
    off = (votes["given"] - expected).mask(votes["is_thumb"]).groupby(votes["user_id"])
    taken = off.transform("sum") / (off.transform("count") + PRIOR)
    return taken.mask(votes["is_thumb"]).fillna(0.0)


def means(votes: pd.DataFrame, free: pd.Series, texts: int) -> dict[str, Any]:
    """Each text's score, score_weight, thumb and thumb_weight by the ratings `free` (votes,)."""
    found: dict[str, Any] = {}
    for name, rows in (("score", ~votes["is_thumb"]), ("thumb", votes["is_thumb"])):
        text, weight = votes["text"][rows].to_numpy(), votes["weight"][rows].to_numpy()
        total = np.bincount(text, weight, texts).astype(float)  # of nothing it would count in integers
        value = np.bincount(text, weight * free[rows].to_numpy(), texts)
        found |= {name: np.divide(value, total, where=total > 0, out=np.zeros_like(total)), f"{name}_weight": total}
    return found


def competing(texts: pd.DataFrame, votes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (better, worse) of answers given in one state of a chat of which one was rated higher.

    By their mean scores where both have scores, else by their mean thumbs: a thumb up is not more than a 4. Of two
    answers with scores the better one has the higher mean before and after its raters' strictness is taken out. All
    votes count alike here, whatever they weigh by themselves: what one says of two answers is their order.
    """
    scored, thumbed = votes[~votes["is_thumb"]], votes[votes["is_thumb"]]
    free = scored["given"] - strictness(scored, usual(scored))
    table = pd.DataFrame(
        {
            "score": scored.groupby("text")["given"].mean(),
            "free": free.groupby(scored["text"]).mean(),
            "thumb": thumbed.groupby("text")["given"].mean(),
        }
    )
    better, worse = [], []
    for _, rows in texts.loc[table.index].groupby(CHAT, sort=False, dropna=False):
        number = rows.index.to_numpy()
        score, free_score, thumb = (above(table.loc[number, name].to_numpy()) for name in ("score", "free", "thumb"))
        both = table.loc[number, "score"].notna().to_numpy()
        wins = np.argwhere(np.where(both[:, None] & both[None, :], score & free_score, thumb))
        better.append(number[wins[:, 0]])
        worse.append(number[wins[:, 1]])
    return (np.concatenate(better), np.concatenate(worse)) if better else (np.empty(0, int), np.empty(0, int))


def above(values: np.ndarray) -> np.ndarray:
    """Whether each of values (k,) is above each other one, (k, k); nothing is above what is missing."""
    return values[:, None] > values[None, :] + 1e-9
