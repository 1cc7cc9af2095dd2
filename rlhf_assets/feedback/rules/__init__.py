"""The row rules, in order: what makes a vote unusable, each with its reason code.

A rule sees the votes of one week and its window (the look-back, then the week), both as `clean_week` makes them,
and marks votes of the week. To change one, raise its version; to add one, put it where its reason should win. Nothing
here imports pandas when it is loaded: the code server reads the rules' versions at every run and step.
"""

import hashlib
from collections.abc import Iterable

from rlhf_assets.feedback.rules.answers import (
    empty_response,
    not_text,
    not_the_assistants,
    over_long,
    too_short,
    unreadable_conversation,
    votes_on_nothing,
    without_query,
)
from rlhf_assets.feedback.rules.dates import before_the_answer, in_the_future
from rlhf_assets.feedback.rules.person import holds_personal_data, without_consent
from rlhf_assets.feedback.rules.raters import brigade, one_button, too_fast
from rlhf_assets.feedback.rules.ratings import contradiction, copy_of_previous, invalid_rating, without_rating
from rlhf_assets.feedback.rules.rule import Rule
from rlhf_assets.feedback.rules.window import target

__all__ = ["RULES", "Rule", "fingerprint", "target"]

RULES: tuple[Rule, ...] = (
    Rule("the person agreed to no use", 1, "no_consent", without_consent),
    Rule("a vote on nothing", 1, "no_target", votes_on_nothing),
    Rule("a vote on a message that is not the assistant's", 1, "not_assistant", not_the_assistants),
    Rule("an answer without its question", 1, "no_query", without_query),
    Rule("a conversation that cannot be read", 1, "bad_context", unreadable_conversation),
    Rule("an empty answer", 1, "empty_response", empty_response),
    Rule("an answer too short to judge", 1, "too_short", too_short),
    Rule("a question or answer too long to be read", 1, "over_long", over_long),
    Rule("control characters, or too much that was lost or cannot be printed", 1, "not_text", not_text),
    Rule("dated later than it was read", 1, "in_future", in_the_future),
    Rule("dated before its own answer", 1, "before_answer", before_the_answer),
    Rule("neither thumb nor score", 1, "no_rating", without_rating),
    Rule("a score outside 1 to 5, or an unknown thumb", 1, "invalid_rating", invalid_rating),
    Rule("thumb and score contradict each other", 1, "contradiction", contradiction),
    Rule("somebody's e-mail address, phone or card number", 1, "personal_data", holds_personal_data),
    Rule("the same vote once more", 1, "copy", copy_of_previous),
    Rule("a rater who clicks one button only", 1, "one_button_rater", one_button),
    Rule("a rater faster than anybody reads", 1, "too_fast_rater", too_fast),
    Rule("fresh accounts that all rate one answer alike", 1, "brigade", brigade),
)


def fingerprint(rules: Iterable[Rule] = RULES) -> str:
    """Twelve hex digits that change when a rule is added, removed, moved or gets another version."""
    listing = "".join(f"{rule.name} {rule.version}\n" for rule in rules)
    return hashlib.sha256(listing.encode()).hexdigest()[:12]
