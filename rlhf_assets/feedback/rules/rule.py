"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.feedback.settings import CleaningSettings


@dataclass(frozen=True)
class Rule:
    """`applies(votes, window, settings)` is a bool Series over `votes`: True sends the vote to quarantine."""

    name: str
    version: int
    reason: str
    applies: Callable[[pd.DataFrame, pd.DataFrame, CleaningSettings], pd.Series]
