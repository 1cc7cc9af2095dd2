"""Everything known up to the end of a week, which the as-of assets are made from."""

from typing import TYPE_CHECKING

from rlhf_assets.defs.raw_feedback.raw_feedback import ROWS
from rlhf_assets.feedback.weeks import first_week, weeks_between
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore

if TYPE_CHECKING:
    import pandas as pd


def clean_votes(store: ArtifactStore, week: str) -> tuple["pd.DataFrame", list[Artifact]]:
    """Clean votes of all weeks up to `week`; RlhfError with the backfill command when one was never made."""
    import pandas as pd

    cleaned = store.require_weeks("clean_feedback", weeks_between(first_week(), week))
    return pd.concat([artifact.frame(ROWS) for artifact in cleaned], ignore_index=True), cleaned
