"""Whether ratings can be believed: several on the same answer, one kind against another, how strict people are."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rlhf_assets.feedback.estimates import Estimate, correlation, estimate, per_group, quotient

POINTS = 4  # a score in [0, 1] in points of the scale from 1 to 5


def agreement(votes: pd.DataFrame) -> dict[str, object]:
    """Krippendorff's alpha over answers that several people rated with the same button, and on how much it stands.

    `alpha` is 1 where all agree, 0 where they agree as by chance; None when no answer has two raters or all ratings
    are equal. Its interval draws answers anew. Of a person's votes on one answer the last counts.
    """
    last = votes.drop_duplicates(["rater", "answer"], keep="last")
    shared = last[last.groupby("answer")["rater"].transform("size") > 1]
    return {
        "alpha": estimate(alpha, disagreement(shared["answer"], shared["score"].to_numpy())),
        "answers": int(shared["answer"].nunique()),
        "people": int(shared["rater"].nunique()),
        "votes": len(shared),
    }


def disagreement(units: pd.Series, values: np.ndarray) -> np.ndarray:
    """What each unit, rated at least twice, adds to `alpha`: (units, 4)."""
    n, x, xx = per_group(units, np.ones(len(values)), values, values * values).T
    return np.column_stack([n, x, xx, n * quotient(xx - quotient(x * x, n), n - 1)])


def alpha(totals: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha for interval data from sums of n, x, xx and n SS / (n - 1) over units (..., 4).

    Krippendorff, Computing Krippendorff's alpha-reliability (2011), with the sums over pairs written as variances:
    observed over expected disagreement, 1 - (sum of n_u var_u) / N / var.
    """
    n, x, xx, within = np.moveaxis(totals, -1, 0)
    expected = quotient(xx - quotient(x * x, n), n - 1)
    return 1 - quotient(quotient(within, n), np.where(expected > 1e-12, expected, 0))


def signals(votes: pd.DataFrame) -> Mapping[str, dict[str, object]]:
    """Spearman correlation between two ways of rating the same thing, over what was rated in both.

    thumbs_and_scores: answers that somebody gave a thumb and somebody a score. answers_and_steps: messages rated as a
    whole and by a step.
    """
    whole, steps = votes[votes["kind"] == "message"], votes[votes["kind"] == "step"]
    thumbs = whole["is_thumb"]
    return {
        "thumbs_and_scores": together(means(whole[thumbs], "answer"), means(whole[~thumbs], "answer")),
        "answers_and_steps": together(means(whole, "message_id"), means(steps, "message_id")),
    }


def means(votes: pd.DataFrame, what: str) -> pd.Series:
    return votes.groupby(what)["score"].mean()


def together(first: pd.Series, second: pd.Series) -> dict[str, object]:
    both = pd.concat([first, second], axis=1, join="inner", keys=["first", "second"])
    found: Estimate | None = correlation(both["first"], both["second"], both.index.to_series())
    return {"correlation": found, "pairs": len(both)}


def strictness(votes: pd.DataFrame) -> dict[str, object]:
    """How far people differ in what they give, in points of the scale from 1 to 5.

    A person's strictness is the mean distance of their votes from what everybody gave with the same button to the same
    kind of thing by the same model version, shrunken towards 0 where their votes are few (empirical Bayes; variances by
    the one-way ANOVA estimator, Searle, Casella and McCulloch, Variance Components, 1992, 3.6). `spread` is its
    standard deviation over people; strictest and kindest are its 5 % and 95 % quantiles; `share_of_variance` is how
    much of the distances is the person rather than the answer or the moment. None without anybody who voted twice.
    """
    nothing = dict.fromkeys(("spread", "strictest", "kindest", "share_of_variance"))
    usual = votes.groupby(["kind", "is_thumb", "model_version"])["score"].transform("mean")
    distance = (votes["score"] - usual).to_numpy() * POINTS
    n, total, squares = per_group(votes["rater"], np.ones(len(votes)), distance, distance * distance).T
    people, mean = len(n), quotient(total, n)
    if people < 2 or len(votes) == people:
        return {"people": people, **nothing}
    within = (squares - n * mean**2).sum() / (len(votes) - people)
    grand = distance.mean()
    size = (len(votes) - (n**2).sum() / len(votes)) / (people - 1)
    between = max(0.0, ((n * (mean - grand) ** 2).sum() / (people - 1) - within) / size)
    if between + within < 1e-12:
        return {"people": people, **nothing}
    shrunken = (mean - grand) * between / (between + within / n)
    strictest, kindest = np.quantile(shrunken, (0.05, 0.95))
    return {
        "people": people,
        "spread": float(shrunken.std()),
        "strictest": float(strictest),
        "kindest": float(kindest),
        "share_of_variance": float(between / (between + within)),
    }
