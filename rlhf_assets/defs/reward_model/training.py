"""What reward_model and judge_model share: train on one side of the dataset, test, judge by the gates."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from rlhf_assets.defs.automation.under_way import made_meanwhile
from rlhf_assets.defs.datasets.reward_dataset import load_dataset
from rlhf_assets.defs.datasets.too_little_new import too_little_new
from rlhf_assets.defs.launchpad import status_of
from rlhf_assets.defs.partitions import week_of_run
from rlhf_assets.defs.reporting import few_rows, image, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts, ComputeResource
from rlhf_assets.defs.reward_model.checks import drift_result, gate_results, untrained_results
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.checkpoint import drop
from rlhf_assets.storage.home import checkpoint_file

if TYPE_CHECKING:
    import pandas as pd

    from rlhf_assets.compute import Compute

CODE_VERSION = "3"
PREDICTIONS = "test_predictions.parquet"  # the test rows with what the model says; holds users' text
WORST = "worst_rows.parquet"  # those of them that it gets most wrong
REPORT = "report.html"

Made = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def train(
    context: dg.AssetExecutionContext,
    settings: RewardSettings,
    artifacts: Artifacts,
    compute: ComputeResource,
    voters: str = "",
) -> Made:
    """Train and test on the sides that `voters` prefixes: "judge_" for the judge's users, "" for everybody else's."""
    from rlhf_assets.reward.assessment import assess_reward
    from rlhf_assets.reward.gate import measured
    from rlhf_assets.reward.model_report import report_html
    from rlhf_assets.reward.plots import pictures
    from rlhf_assets.reward.together import train_together

    asset, store, week = context.asset_key.to_user_string(), artifacts.store, week_of_run(context)
    with mendable():
        data = store.for_run("reward_dataset", week, context.run.run_id) or store.require("reward_dataset", week)
        dataset = load_dataset(data)
        rows, validation, test = (dataset.sides()[voters + side] for side in ("train", "validation", "test"))
    if len(rows) < settings.minimum_rows:
        reason: str | None = f"{len(rows)} votes to train on, fewer than minimum_rows {settings.minimum_rows}"
    elif status_of(settings, data) == "experiment":
        reason = None
    else:
        reason = too_little_new(store, week, data) or made_meanwhile(context, store, week)
    if reason:
        skip(context, week, reason)
        yield from untrained_results(asset, reason)
        return
    with mendable(), store.draft(asset, week, context.run.run_id) as draft:
        device = compute.choose()
        # a run that was killed and is retried goes on from there
        checkpoint = checkpoint_file(asset, week, settings.model_dump_json())
        outcome = train_together(
            compute.processes, rows, validation, settings, device, draft.folder, checkpoint=checkpoint
        )
        found = assess_reward(draft.folder, rows, validation, test, settings, device)
        drifted = drift(store, asset, week, getattr(dataset, f"{voters}newest"), settings, device)
        reasons = [reason for told in found.gates.values() for reason in told]
        found.test.to_parquet(draft.folder / PREDICTIONS)
        found.worst().to_parquet(draft.folder / WORST)
        shown = pictures(found.figures, found.test, outcome.history, outcome.best_epoch)
        page = report_html(asset, week, found.figures, settings, drifted, shown)
        (draft.folder / REPORT).write_text(page, encoding="utf-8")
        made = draft.commit(
            "rejected" if reasons else status_of(settings, data),
            parents=[data],
            settings=settings,
            seeds={"seed": settings.seed},
            code_version=CODE_VERSION,
            counts={"train": len(rows), "validation": len(validation), "test": len(test)},
            figures={
                **found.figures,
                "drift": drifted,
                "best_epoch": outcome.best_epoch,
                "mix": outcome.mix,
                "seconds": outcome.seconds,
                "history": outcome.history,
                "compute": f"{device.device} {device.precision}",
            },
            reasons=reasons,
        )
        drop(checkpoint)
    extra = {
        **few_rows(len(rows)),
        "report": dg.MetadataValue.path(str(made.path(REPORT))),
        "worst_rows": dg.MetadataValue.path(str(made.path(WORST))),
        "calibration_error": found.figures["calibration"]["ece"]["value"],
        "length_excess": found.figures["length"]["excess"]["value"],
        **{title.lower().replace(" ", "_"): image(png) for title, png in shown.items()},
    }
    blocks = status_of(settings, data) != "experiment"
    yield report(
        context,
        {week: made},
        asset,
        {name: value for name, value in extra.items() if value is not None},
        [*gate_results(asset, found.gates, measured(found.figures, settings), blocks), drift_check(asset, drifted)],
    )
    if reasons and blocks:  # what the failed checks do by themselves, but with the reasons
        raise dg.Failure(description=f"rejected: {'; '.join(reasons)}", allow_retries=False)


def drift(
    store: ArtifactStore, asset: str, week: str, newest: "pd.DataFrame", settings: RewardSettings, device: "Compute"
) -> dict[str, Any]:
    """How the accepted model of the latest week before does on this week's new questions, or why that is `skipped`."""
    from rlhf_assets.reward.drift import drift_figures, drift_warnings

    before = store.newest_before(asset, week)
    if before is None:
        return {"skipped": f"there is no accepted {asset} of an earlier week"}
    if "mean_of_train" not in before.card.figures:
        return {"skipped": f"{before.relative_path} was made by an earlier version of this project"}
    if (questions := newest["query"].nunique()) < settings.minimum_test_questions:
        return {"skipped": f"{questions} new questions this week, fewer than {settings.minimum_test_questions}"}
    try:
        found = drift_figures(before.local(), before.card.figures, newest, settings.seed, device)
    except RlhfError as error:  # its loss is no reason to have no model this week
        return {"skipped": str(error)}
    return {"model": before.relative_path, **found, "warnings": drift_warnings(found)}


def drift_check(asset: str, drifted: dict[str, Any]) -> dg.AssetCheckResult:
    if "skipped" in drifted:
        return drift_result(asset, [], {"skipped": drifted["skipped"]})
    figures = {
        f"{name}_{when}": value
        for name in ("mse_ratio", "spearman")
        for when in ("then", "now")
        if (value := drifted[name][when]["value"]) is not None
    }
    return drift_result(
        asset, drifted["warnings"], {"model": drifted["model"], "questions": drifted["questions"], **figures}
    )
