"""What the columns of votes and prompts hold: extraction takes its schema from here, the UI its tables.

Importable without pyarrow, so that the code server may.
"""

from collections.abc import Mapping
from typing import NamedTuple

TEXT, MOMENT, WHOLE, NUMBER, TRUTH = "string", "timestamp[us, tz=UTC]", "int64", "double", "bool"


class Column(NamedTuple):
    """Its type in Arrow's words, and what a newcomer should know of it."""

    type: str
    holds: str


Columns = Mapping[str, Column]

RAW: Columns = {
    "vote_id": Column(TEXT, "The vote, as the assistant's database names it."),
    "created_at": Column(MOMENT, "When the vote was given; its week follows from this."),
    "user_id": Column(TEXT, "Who gave it."),
    "segment": Column(TEXT, "The part of the users that this person belongs to; null where nobody says."),
    "kind": Column(TEXT, "`message` for a vote on a whole answer, `step` for one on a single reasoning step."),
    "chat_id": Column(TEXT, "The chat it was given in."),
    "message_id": Column(TEXT, "The answer; null for a step that belongs to none."),
    "step_id": Column(TEXT, "The reasoning step; null for a vote on a whole answer."),
    "message_role": Column(TEXT, "Who wrote what was rated; votes on anything but the assistant's words are refused."),
    "query": Column(TEXT, "What the user asked: the newest turn of theirs before the answer."),
    "context": Column(TEXT, "The turns before the query, oldest first, as a JSON list of role and content."),
    "system_prompt": Column(TEXT, "What the assistant was told to be in this chat; null where there is nothing."),
    "response": Column(TEXT, "What was rated: the answer, or the step's text."),
    "steps_before": Column(TEXT, "The earlier steps of the same answer, as a JSON list of texts."),
    "step_order": Column(WHOLE, "The step's place in its answer, from 0; null for a whole answer."),
    "feedback": Column(TEXT, "The thumb, `positive` or `negative`; null where there is only a score."),
    "feedback_score": Column(WHOLE, "1 to 5; null where there is only a thumb."),
    "model_version": Column(TEXT, "The model that answered; null where the app does not say."),
    "message_created_at": Column(MOMENT, "When the answer was given."),
    "updated_at": Column(MOMENT, "When the vote was last changed; null where the app keeps no such date."),
    "consent": Column(
        TEXT, "`false` and its like where the person does not want to be learned from; null says nothing."
    ),
}

# in a data frame a whole number that may be missing is a float
VOTE: Columns = {name: column._replace(type=NUMBER) if column.type == WHOLE else column for name, column in RAW.items()}
WEEK = Column(TEXT, "The week of the vote, by the date of its first day, a Sunday.")

CLEAN: Columns = {
    **VOTE,
    "score": Column(NUMBER, "What models learn: (feedback_score - 1) / 4, or 1 and 0 for a thumb up and down."),
    "is_thumb": Column(TRUTH, "Whether the score comes from a thumb alone, which says less."),
    "week": WEEK,
}

QUARANTINED: Columns = {
    **VOTE,
    "reason": Column(TEXT, "Why the vote is refused."),
    "rule": Column(TEXT, "The rule that refused it, the first that applied."),
    "rule_version": Column(WHOLE, "The rule's version."),
    "source": Column(TEXT, "The raw artifact that the vote was read from."),
    "week": WEEK,
}

SIDE = Column(TEXT, "`train`, `validation` or `test`; the same in every week.")

DATASET: Columns = {
    **CLEAN,
    "inverse_propensity": Column(
        NUMBER, "One over how often answers such as this one, by segment and length, are rated at all; 1 on average."
    ),
    "cluster": Column(TEXT, "Names the near duplicates of the query, which are never on two sides."),
    "side": SIDE,
}

PROMPTS: Columns = {
    "prompt_id": Column(TEXT, "A hash of query, context and system prompt; the same in every week."),
    **{name: RAW[name] for name in ("query", "context", "system_prompt")},
    "side": SIDE,
    "segment": Column(TEXT, "That of the person whose vote on it came first; null where nobody says."),
}
