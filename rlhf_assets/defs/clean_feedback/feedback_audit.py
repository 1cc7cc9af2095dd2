"""What a week's feedback looks like, for a person to read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from rlhf_assets.defs.clean_feedback.clean_feedback import RAW, SEES_LOOKBACK
from rlhf_assets.defs.labels import FEEDBACK_FRESH
from rlhf_assets.defs.partitions import ONE_RUN, WEEKS, weeks_of
from rlhf_assets.defs.raw_feedback.raw_feedback import ROWS
from rlhf_assets.defs.reporting import OWNERS, image, mendable, report, spanned
from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.feedback.audit_checks import CHECKS
from rlhf_assets.feedback.settings import LOOKBACK_WEEKS, AuditSettings
from rlhf_assets.feedback.weeks import earlier, first_week, weeks_between
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore

if TYPE_CHECKING:
    import pandas as pd

CODE_VERSION = "3"
REPORT = "report.html"


def looked_at(week: str) -> list[str]:
    """The weeks that an audit compares: its look-back and itself."""
    return weeks_between(max(first_week(), earlier(week, LOOKBACK_WEEKS)), week)


def cleaned_votes(
    store: ArtifactStore, weeks: list[str]
) -> Iterator[tuple[str, "dict[str, pd.DataFrame]", list[Artifact]]]:
    """For each week, the votes of it and its look-back, each week read once; RlhfError when it was never cleaned.

    An earlier week that was never cleaned is left out: there is nothing to compare with.
    """
    from rlhf_assets.feedback.audit import votes_of

    votes: dict[str, pd.DataFrame] = {}
    read: dict[str, Artifact] = {}
    for week in weeks:
        store.require("clean_feedback", week)
        for name in looked_at(week):
            if name not in read and (found := store.newest("clean_feedback", name)):
                read[name], votes[name] = found, votes_of(found.frame(ROWS))
        votes = {name: frame for name, frame in votes.items() if name in looked_at(week)}
        yield week, votes, [read[name] for name in votes]


@dg.asset(
    deps=[*RAW, "quarantined_feedback", dg.AssetDep("clean_feedback", partition_mapping=SEES_LOOKBACK)],
    check_specs=[
        dg.AssetCheckSpec(name, asset="feedback_audit", description=description) for name, description in CHECKS.items()
    ],
    partitions_def=WEEKS,
    backfill_policy=ONE_RUN,
    kinds={"pandas", "report"},
    owners=OWNERS,
    freshness_policy=FEEDBACK_FRESH,
    group_name="clean_feedback",
    code_version=CODE_VERSION,
)
def feedback_audit(context: dg.AssetExecutionContext, database: Database, artifacts: Artifacts) -> dg.MaterializeResult:
    """How the week was rated, by whom, whether that can be believed, and what has changed; the report lies beside.

    For a person to read: nothing is made from it, and its checks only warn. Each week is compared with the four weeks
    before it (LOOKBACK_WEEKS) and never with later ones, so how many weeks one run covers changes nothing.
    """
    import pandas as pd

    from rlhf_assets.feedback.activity import read_activity
    from rlhf_assets.feedback.audit import audit_week
    from rlhf_assets.feedback.audit_checks import warnings
    from rlhf_assets.feedback.audit_report import report_html
    from rlhf_assets.feedback.plots import pictures
    from rlhf_assets.feedback.read import rows_outside_weeks

    store, settings, weeks, made = artifacts.store, project_settings(AuditSettings), weeks_of(context), {}
    found: dict[str, dict[str, list[str]]] = {}
    with mendable(), database.connect(read_only=True) as connection:
        outside = rows_outside_weeks(connection, first_week(), datetime.now(UTC))
        activity = read_activity(connection, weeks_between(looked_at(weeks[0])[0], weeks[-1]))
    with mendable():
        for week, votes, cleaned in cleaned_votes(store, weeks):
            raw = [store.require(asset, week) for asset in RAW]
            refused = store.require("quarantined_feedback", week)
            quarantined = refused.frame(ROWS)
            rows = sum(a.card.counts["rows"] - sum(erasure.rows for erasure in a.card.erased) for a in raw)
            used = activity[activity["week"].isin(looked_at(week))]
            figures = audit_week(week, votes, rows, quarantined, used, outside, settings)
            found[week] = figures["warnings"] = warnings(figures, settings)
            shown = pictures(week, pd.concat(votes.values(), ignore_index=True), figures["weeks"], quarantined)
            with store.draft("feedback_audit", week, context.run.run_id) as draft:
                (draft.folder / REPORT).write_text(report_html(week, figures, shown), encoding="utf-8")
                made[week] = draft.commit(
                    parents=[*raw, *cleaned, refused],
                    settings=settings,
                    code_version=CODE_VERSION,
                    counts={f"rows_{reason}": rows for reason, rows in outside.items()},
                    figures=figures,
                )
            seen = {"report": dg.MetadataValue.path(str(made[week].path(REPORT)))}
            plots = {title.lower().replace(" ", "_").replace("'", ""): image(png) for title, png in shown.items()}
            context.add_asset_metadata({**seen, **plots}, asset_key="feedback_audit", partition_key=week)
    return report(context, made, "feedback_audit", check_results=[check(name, found) for name in CHECKS])


def check(name: str, found: dict[str, dict[str, list[str]]]) -> dg.AssetCheckResult:
    """The check's warnings by week, as plain text: names of segments stand in them, which nothing may render."""
    told = {week: " ".join(warnings[name]) for week, warnings in found.items() if warnings[name]}
    return dg.AssetCheckResult(
        asset_key="feedback_audit",
        check_name=name,
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "weeks": spanned(list(found)),
            **{week: dg.MetadataValue.text(sentences) for week, sentences in told.items()},
        },
    )
