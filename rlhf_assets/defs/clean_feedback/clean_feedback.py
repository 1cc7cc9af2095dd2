"""Each week's votes that can be learned from, and those that cannot, with the reason."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from rlhf_assets.defs.labels import FEEDBACK_FRESH, USER_TEXT, column_schema
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import ONE_RUN, WEEKS, weeks_of
from rlhf_assets.defs.raw_feedback.raw_feedback import ROWS
from rlhf_assets.defs.reporting import OWNERS, mendable, report, spanned
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.feedback.columns import CLEAN, QUARANTINED
from rlhf_assets.feedback.rules import fingerprint
from rlhf_assets.feedback.settings import LOOKBACK_WEEKS, AuditSettings, CleaningSettings
from rlhf_assets.feedback.weeks import earlier, first_week, weeks_between
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore

if TYPE_CHECKING:
    import pandas as pd

CODE_VERSION = f"2-{fingerprint()}"  # the rules speak for themselves; raise the number for any other change
RAW = ("raw_message_feedback", "raw_step_feedback")
KINDS = ("message", "step")  # of vote, in the order of RAW

SEES_LOOKBACK = dg.TimeWindowPartitionMapping(start_offset=-LOOKBACK_WEEKS, allow_nonexistent_upstream_partitions=True)


@launchpad_form
class CleaningConfig(dg.Config, CleaningSettings):
    """What a vote must be to reach training."""


def raw_rows(store: ArtifactStore, weeks: list[str]) -> tuple["pd.DataFrame", list[Artifact]]:
    """Raw votes of both kinds of these weeks; RlhfError with the command when one was never extracted."""
    import pandas as pd

    from rlhf_assets.feedback.read import RAW_SCHEMA

    extracted = [artifact for asset in RAW for artifact in store.require_weeks(asset, weeks)]
    nothing = RAW_SCHEMA.empty_table().to_pandas()
    return pd.concat([nothing, *(artifact.frame(ROWS) for artifact in extracted)], ignore_index=True), extracted


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            name,
            deps=[dg.AssetDep(raw, partition_mapping=SEES_LOOKBACK) for raw in RAW],
            description=description,
            kinds={"pandas", "parquet"},
            owners=OWNERS,
            tags=USER_TEXT,
            metadata=column_schema(columns),
            freshness_policy=FEEDBACK_FRESH,
            group_name="clean_feedback",
            code_version=CODE_VERSION,
        )
        for name, columns, description in (
            (
                "clean_feedback",
                CLEAN,
                "The week's votes that can be learned from, with their score from 0 to 1 and without contact data. "
                "A week whose blocking checks fail is rejected: no dataset takes it.",
            ),
            (
                "quarantined_feedback",
                QUARANTINED,
                "The week's votes that break a rule, as they were, each with the reason; none is dropped. A rule "
                "relaxed in the launchpad or the settings and a backfill of the week bring its votes back.",
            ),
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "adds_up",
            asset="clean_feedback",
            blocking=True,
            description="Each raw vote is in clean or in quarantine, once, and no other is.",
        ),
        dg.AssetCheckSpec(
            "schema",
            asset="clean_feedback",
            blocking=True,
            description="Every clean vote has a text and a score in [0, 1].",
        ),
        dg.AssetCheckSpec("empty_week", asset="clean_feedback", description="Somebody rated something in the week."),
        dg.AssetCheckSpec(
            "quarantine_share",
            asset="quarantined_feedback",
            description="Few enough votes are refused; if not, see why.",
        ),
    ],
    partitions_def=WEEKS,
    backfill_policy=ONE_RUN,
)
def clean_and_quarantined_feedback(
    context: dg.AssetExecutionContext, config: CleaningConfig, artifacts: Artifacts
) -> Iterator[dg.MaterializeResult]:
    """Row rules see their week and a fixed look-back, so how many weeks one run covers changes nothing."""
    from rlhf_assets.feedback.clean import Extraction, adds_up, clean_week, weeks_with_lookback
    from rlhf_assets.feedback.personal_data import PersonalData

    store, settings = artifacts.store, settings_of(config, CleaningSettings)
    bound = project_settings(AuditSettings).quarantine_share
    clean: dict[str, Artifact] = {}
    quarantined: dict[str, Artifact] = {}
    sums_wrong, broken, empty, suspicious = [], [], [], []
    votes, refused_share = 0, 0.0
    weeks, parents = weeks_of(context), dict[str, list[Artifact]]()
    with mendable():
        personal_data = PersonalData(settings.phone_regions)

    def read(week: str) -> "pd.DataFrame":
        with mendable():
            rows, parents[week] = raw_rows(store, [week])
        return rows

    with mendable():  # one command for all that is missing
        needed = weeks_between(max(first_week(), earlier(weeks[0], LOOKBACK_WEEKS)), weeks[-1])
        for asset in RAW:
            store.require_weeks(asset, needed)
    for week, rows, lookback in weeks_with_lookback(weeks, first_week(), read):
        extractions = {
            kind: Extraction(artifact.relative_path, artifact.card.created_at)
            for kind, artifact in zip(KINDS, parents[week], strict=True)
        }
        with mendable():
            result = clean_week(rows, lookback, settings, extractions, personal_data)
        if not adds_up(rows, result):
            sums_wrong.append(week)
        if result.clean["response"].isna().any() or not result.clean["score"].between(0, 1).all():
            broken.append(week)
        votes += len(rows)
        if rows.empty:
            empty.append(week)
        else:
            refused_share = max(refused_share, len(result.quarantined) / len(rows))
            if len(result.quarantined) > bound * len(rows):
                suspicious.append(week)
        status = "rejected" if week in (*sums_wrong, *broken) else status_of(settings)
        seen = weeks_between(max(first_week(), earlier(week, LOOKBACK_WEEKS)), week)[:-1]
        reasons: dict[str, int] = Counter(result.quarantined["reason"])
        kept: dict[str, int] = {}
        share = {"clean_share": len(result.clean) / len(rows)} if len(rows) else {}
        for made, asset, frame, counts, figures in (
            (clean, "clean_feedback", result.clean, kept, share),
            (quarantined, "quarantined_feedback", result.quarantined, reasons, {}),
        ):
            with mendable(), store.draft(asset, week, context.run.run_id) as draft:
                frame.to_parquet(draft.folder / ROWS)
                made[week] = draft.commit(
                    status,
                    parents=[parent for one in [week, *seen] for parent in parents[one]],
                    settings=settings,
                    code_version=CODE_VERSION,
                    counts={"rows": len(frame), **counts},
                    figures=figures,
                )
    looked = {"weeks": spanned(weeks), "votes": votes}
    yield report(
        context,
        clean,
        "clean_feedback",
        check_results=[
            week_check("clean_feedback", "adds_up", sums_wrong, looked),
            week_check("clean_feedback", "schema", broken, looked),
            week_check("clean_feedback", "empty_week", empty, looked, dg.AssetCheckSeverity.WARN),
        ],
    )
    measured = looked | {"largest share refused": round(refused_share, 4), "bound": f"at most {bound:g}"}
    yield report(
        context,
        quarantined,
        "quarantined_feedback",
        check_results=[
            week_check("quarantined_feedback", "quarantine_share", suspicious, measured, dg.AssetCheckSeverity.WARN)
        ],
    )


def week_check(
    asset: str,
    name: str,
    failed: list[str],
    looked: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check that failed in some weeks of the run, or in none."""
    metadata = {**looked, "failed in": ", ".join(failed) or "no week"}
    return dg.AssetCheckResult(
        asset_key=asset, check_name=name, passed=not failed, severity=severity, metadata=metadata
    )
