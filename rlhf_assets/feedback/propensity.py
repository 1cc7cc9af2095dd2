"""What a vote counts where people rate some answers more readily than others.

A model that learns from every vote alike learns what those think who click. So a vote counts by the inverse of the
chance that such an answer, by its segment and length, gets rated at all (Horvitz and Thompson 1952), as a multiple of
the usual chance, so that votes count 1 on average (stabilised weights; Robins, Hernan and Brumback 2000).

The segment of what was answered is that of the chat's owner, of a vote that of the rater. Where others rate than ask,
say experts, the two have nothing to do with each other, and maximum_inverse_propensity has to stay 1.
"""

import numpy as np
import pandas as pd

CELL = ["kind", "segment", "doublings"]  # what the chance is taken to hang on
PRIOR = 20.0  # answers of the usual chance that are added to each cell, since the chance of few is unsure


def inverse_propensity(votes: pd.DataFrame, coverage: pd.DataFrame) -> pd.Series:
    """What each vote (kind, segment, response) counts, above 0, 1 where nothing is known; by the votes' index.

    coverage: rows of COVERAGE_SCHEMA of any number of weeks.
    """
    cells = coverage.fillna({"segment": ""}).groupby(CELL, as_index=False)[["served", "rated"]].sum()
    kinds = cells.groupby("kind")[["served", "rated"]].transform("sum")
    usual = kinds["rated"] / kinds["served"]
    chance = (cells["rated"] + PRIOR * usual) / (cells["served"] + PRIOR)
    cells = cells[CELL].assign(weight=(usual / chance).where(usual > 0, 1.0))
    own = votes[["kind", "segment"]].fillna({"segment": ""}).assign(doublings=doublings(votes["response"]))
    return own.merge(cells, on=CELL, how="left")["weight"].fillna(1.0).set_axis(votes.index)


def doublings(texts: pd.Series) -> np.ndarray:
    """How often 1 can be doubled before it exceeds a text's characters, (texts,), as the view counts it."""
    _, exponent = np.frexp(texts.str.len().to_numpy(float))
    return np.maximum(exponent.astype("int64") - 1, 0)
