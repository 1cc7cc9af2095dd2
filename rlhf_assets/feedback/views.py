"""The same votes as other methods learn from them: pairs (DPO and its kin), unpaired thumbs (KTO), steps (process
rewards). Each is made of the votes of one side alone, in an order that depends on these votes alone.
"""

import pandas as pd

from rlhf_assets.feedback.prompts import STATE


def pairs(votes: pd.DataFrame, answers_per_state: int) -> pd.DataFrame:
    """Two answers to one query in one state of a chat, of which people rated one better.

    Columns: those of STATE, chosen, rejected (texts), chosen_score, rejected_score (means of all ratings of that text
    in that state, in [0, 1]), margin. Of each state the `answers_per_state` answers with most ratings take part,
    first seen first where equal; equally good ones make no pair. States come first seen first, then better answers.
    """
    whole = votes[votes["kind"] == "message"]
    answers = whole.groupby([*STATE, "response"], sort=False, dropna=False)["score"].agg(["mean", "size"]).reset_index()
    answers["state"] = answers.groupby(STATE, sort=False, dropna=False).ngroup()
    most_rated = answers.sort_values(["state", "size"], ascending=[True, False])  # by several columns: always stable
    ranked = most_rated[most_rated.groupby("state").cumcount() < answers_per_state]
    ranked = ranked.sort_values(["state", "mean"], ascending=[True, False])
    both = ranked.merge(ranked[["state", "response", "mean"]], on="state", suffixes=("_of_chosen", "_of_rejected"))
    both = both[both["mean_of_chosen"] > both["mean_of_rejected"]].reset_index(drop=True)
    return both[STATE].assign(
        chosen=both["response_of_chosen"],
        rejected=both["response_of_rejected"],
        chosen_score=both["mean_of_chosen"],
        rejected_score=both["mean_of_rejected"],
        margin=both["mean_of_chosen"] - both["mean_of_rejected"],
    )


def thumbs(votes: pd.DataFrame) -> pd.DataFrame:
    """Each thumb on a whole answer, with or without a score beside it: vote_id, STATE, response, label (True: up)."""
    thumb = votes["feedback"].str.strip().str.lower()
    given = (votes["kind"] == "message") & thumb.isin(("positive", "negative"))
    return votes[given][["vote_id", *STATE, "response"]].assign(label=thumb[given] == "positive").reset_index(drop=True)


def steps(votes: pd.DataFrame) -> pd.DataFrame:
    """Each rating of a single step: vote_id, STATE, steps_before (JSON list), step_order, step (text), score."""
    rated = votes[votes["kind"] == "step"].rename(columns={"response": "step"})
    return rated[["vote_id", *STATE, "steps_before", "step_order", "step", "score"]].reset_index(drop=True)
