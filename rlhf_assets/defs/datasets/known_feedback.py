"""Everything known up to the end of a week, which the as-of assets are made from, and where it came from."""

from typing import TYPE_CHECKING, Any

from rlhf_assets.defs.clean_feedback.clean_feedback import RAW
from rlhf_assets.defs.raw_feedback.raw_feedback import COVERAGE, ROWS
from rlhf_assets.feedback.weeks import first_week, weeks_between
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore

if TYPE_CHECKING:
    import pandas as pd


def clean_votes(store: ArtifactStore, week: str) -> tuple["pd.DataFrame", list[Artifact]]:
    """Clean votes of all weeks up to `week`; RlhfError with the backfill command when one was never made."""
    import pandas as pd

    cleaned = store.require_weeks("clean_feedback", weeks_between(first_week(), week))
    return pd.concat([artifact.frame(ROWS) for artifact in cleaned], ignore_index=True), cleaned


def origin(store: ArtifactStore, cleaned: list[Artifact]) -> dict[str, Any]:
    """For a card, where the votes of these clean weeks came from: which weeks, which rules cleaned each (their code
    version), which extraction stands behind each.
    """
    weeks = [artifact.card.week for artifact in cleaned]
    return {
        "weeks": {"first": weeks[0], "last": weeks[-1], "number": len(weeks)},
        "rules": {artifact.card.week: artifact.card.code_version for artifact in cleaned},
        "extractions": [extraction(store, raw) for raw in extractions(store, cleaned)],
    }


def known_coverage(store: ArtifactStore, cleaned: list[Artifact]) -> "pd.DataFrame":
    """How much of what was said in these clean weeks was rated; weeks extracted by an earlier version do not tell."""
    import pandas as pd

    from rlhf_assets.feedback.coverage import COVERAGE_SCHEMA

    told = [raw.frame(COVERAGE) for raw in extractions(store, cleaned) if COVERAGE in raw.card.files]
    return pd.concat([COVERAGE_SCHEMA.empty_table().to_pandas(), *told], ignore_index=True)


def extractions(store: ArtifactStore, cleaned: list[Artifact]) -> list[Artifact]:
    """The raw weeks that these clean weeks were made from, without their look-back."""
    return [
        store.open(parent.path)
        for artifact in cleaned
        for parent in artifact.card.parents
        if parent.week == artifact.card.week and parent.asset in RAW
    ]


def extraction(store: ArtifactStore, used: Artifact) -> dict[str, Any]:
    """Which extraction of a week this was, and how its votes differ from those of the week's first one.

    Where an app updates or deletes votes in place, this says what stood when. Rows are read only where hashes differ.
    """
    from rlhf_assets.feedback.changes import changes

    card, made = used.card, store.of_week(used.card.asset, used.card.week)
    first = made[0]
    same = first.card.content_hash == card.content_hash
    return {
        "asset": card.asset,
        "week": card.week,
        "run": card.run_id,
        "extracted_at": card.created_at,
        "rows": card.counts["rows"],
        "content_hash": card.content_hash,
        "newest_updated_at": card.figures.get("source", {}).get("newest_updated_at"),
        "extractions": len(made),
        "since_first": dict.fromkeys(("added", "removed", "changed"), 0)
        if same
        else changes(first.frame(ROWS), used.frame(ROWS)),
    }
