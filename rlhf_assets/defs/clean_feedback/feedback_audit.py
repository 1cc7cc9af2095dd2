"""What a week's feedback looks like, for a person to read."""

from datetime import UTC, datetime

import dagster as dg

from rlhf_assets.defs.clean_feedback.clean_feedback import raw_rows
from rlhf_assets.defs.partitions import ONE_RUN, WEEKS, weeks_of
from rlhf_assets.defs.raw_feedback.raw_feedback import ROWS
from rlhf_assets.defs.reporting import OWNERS, image, mendable, report
from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.feedback.weeks import first_week

CODE_VERSION = "1"


@dg.asset(
    deps=["raw_message_feedback", "raw_step_feedback", "clean_feedback", "quarantined_feedback"],
    partitions_def=WEEKS,
    backfill_policy=ONE_RUN,
    kinds={"pandas"},
    owners=OWNERS,
    group_name="clean_feedback",
    code_version=CODE_VERSION,
)
def feedback_audit(context: dg.AssetExecutionContext, database: Database, artifacts: Artifacts) -> dg.MaterializeResult:
    """Counts by kind, reason and segment, ratings, raters, length against score; and the rows that lie in no week."""
    from rlhf_assets.feedback.audit import audit_week
    from rlhf_assets.feedback.plots import quarantine_reasons, score_distribution, votes_per_segment
    from rlhf_assets.feedback.read import rows_outside_weeks

    store, made = artifacts.store, {}
    with mendable(), database.connect(read_only=True) as connection:
        outside = rows_outside_weeks(connection, first_week(), datetime.now(UTC))
    for week in weeks_of(context):
        with mendable():
            raw, parents = raw_rows(store, [week])
            clean, quarantined = (store.require(asset, week) for asset in ("clean_feedback", "quarantined_feedback"))
        valid, refused = clean.frame(ROWS), quarantined.frame(ROWS)
        figures = audit_week(raw, valid, refused, outside)
        with store.draft("feedback_audit", week, context.run.run_id) as draft:
            made[week] = draft.commit(
                parents=[*parents, clean, quarantined],
                code_version=CODE_VERSION,
                counts={f"rows_{reason}": rows for reason, rows in outside.items()},
                figures=figures,
            )
        pictures = {
            "scores": image(score_distribution(valid)),
            "reasons": image(quarantine_reasons(refused)),
            "segments": image(votes_per_segment(raw)),
        }
        context.add_asset_metadata(pictures, asset_key="feedback_audit", partition_key=week)
    return report(context, made, "feedback_audit")
