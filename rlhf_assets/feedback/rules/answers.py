"""Rules about what was voted on: an answer of the assistant's, with its question, that a person can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.feedback.settings import CleaningSettings

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # but tab and line breaks
# as PostgreSQL writes them
USUAL_STEP = r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00[01][0-9a-f])*"'
USUAL_TURN = rf'\{{"role": {USUAL_STEP}, "content": {USUAL_STEP}\}}'
UNPRINTABLE = r"[\p{Cf}\p{Co}]"  # format signs, private use


def votes_on_nothing(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return votes["target"].isna() | (votes["response"].isna() & votes["message_role"].isna())


def not_the_assistants(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """A step has no role of its own where no message holds it."""
    stepless = (votes["kind"] == "step") & votes["message_role"].isna()
    return (votes["message_role"] != "assistant") & ~stepless


def without_query(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return blank(votes["query"])


def unreadable_conversation(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """What stands around the answer is no JSON of turns or steps, as where somebody's own view writes it otherwise."""
    turns, steps = votes["context"], votes["steps_before"]
    return no_list_of(is_turn, turns, usual=USUAL_TURN) | no_list_of(is_step, steps, usual=USUAL_STEP)


def no_list_of(is_item: Callable[[object], bool], texts: pd.Series, usual: str) -> pd.Series:
    """Which texts are no JSON list of such items. `usual` spares most of them the parser, which takes its time."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    listed = rf"^\[(?:{usual}(?:, {usual})*)?\]$"
    seen = pc.match_substring_regex(pa.array(texts, pa.large_string()), listed).fill_null(False)
    found = ~seen.to_numpy(zero_copy_only=False)
    found[found] = [not is_list_of(is_item, text) for text in texts[found]]
    return pd.Series(found, index=texts.index)


def is_list_of(is_item: Callable[[object], bool], text: object) -> bool:
    try:
        items = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(items, list) and all(map(is_item, items))


def is_turn(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str) and isinstance(item.get("content"), str)


def is_step(item: object) -> bool:
    return isinstance(item, str)


def empty_response(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return blank(votes["response"])


def too_short(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    return votes["response"].str.strip().str.len() < settings.minimum_characters


def over_long(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    longest = settings.maximum_characters
    return (votes["response"].str.len() > longest) | (votes["query"].str.len() > longest)


def not_text(votes: pd.DataFrame, window: pd.DataFrame, settings: CleaningSettings) -> pd.Series:
    """Question or answer holds a control character, or too many characters that were lost or cannot be printed.

    Any script and direction is text, and so are emoji and combining marks; the invisible signs that join or turn them
    are few among what they join.
    """
    return no_text(votes["response"], settings) | no_text(votes["query"], settings)


def no_text(texts: pd.Series, settings: CleaningSettings) -> pd.Series:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    # with Arrow, since RE2 knows classes of characters and takes the same time for any text
    values = pa.array(texts, pa.large_string())
    control = pc.match_substring_regex(values, CONTROL).fill_null(False)
    found = pd.Series(control.to_numpy(zero_copy_only=False), index=texts.index)
    rare = ~pc.string_is_ascii(values).fill_null(True).to_numpy(zero_copy_only=False)
    values = values.filter(pa.array(rare))
    length = pc.utf8_length(values).to_numpy()
    replaced = pc.count_substring(values, "\ufffd").to_numpy() > settings.replaced_share * length
    unprintable = pc.count_substring_regex(values, UNPRINTABLE).to_numpy() > (1 - settings.printable_share) * length
    found[rare] |= replaced | unprintable
    return found


def blank(text: pd.Series) -> pd.Series:
    return text.str.strip().fillna("") == ""
