"""What reward_model and judge_model share: train on one side of the dataset, test, judge by the gate."""

from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.datasets.reward_dataset import load_dataset
from rlhf_assets.defs.launchpad import status_of
from rlhf_assets.defs.partitions import week_of_run
from rlhf_assets.defs.reporting import few_rows, image, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts, ComputeResource
from rlhf_assets.reward.settings import RewardSettings

CODE_VERSION = "1"
PREDICTIONS = "test_predictions.parquet"  # the test rows with what the model says; holds users' text


def train(
    context: dg.AssetExecutionContext,
    settings: RewardSettings,
    artifacts: Artifacts,
    compute: ComputeResource,
    voters: str = "",
) -> Iterator[dg.MaterializeResult]:
    """Train and test on the sides that `voters` prefixes: "judge_" for the judge's users, "" for everybody else's."""
    from rlhf_assets.reward.evaluation import evaluate_reward
    from rlhf_assets.reward.gate import reward_gate
    from rlhf_assets.reward.plots import predicted_by_score, training_history
    from rlhf_assets.reward.scoring import RewardScorer
    from rlhf_assets.reward.training import TEXTS, train_reward

    asset, store, week = context.asset_key.to_user_string(), artifacts.store, week_of_run(context)
    with mendable():
        data = store.for_run("reward_dataset", week, context.run.run_id) or store.require("reward_dataset", week)
        sides = load_dataset(data).sides()
    rows, validation, test = (sides[voters + side] for side in ("train", "validation", "test"))
    if len(rows) < settings.minimum_rows:
        skip(context, week, f"{len(rows)} votes to train on, fewer than minimum_rows {settings.minimum_rows}")
        return
    with mendable(), store.draft(asset, week, context.run.run_id) as draft:
        device = compute.choose()
        outcome = train_reward(rows, validation, settings, device, draft.folder)
        scorer = RewardScorer(draft.folder, device)
        query, response, context_of, before = (test[name].tolist() for name in TEXTS)
        predicted = scorer.calibrated(scorer.score(query, response, context_of, before))
        figures = evaluate_reward(predicted, test, float(rows["score"].mean()), settings.seed)
        reasons = reward_gate(figures, settings.minimum_test_questions)
        test.assign(predicted=predicted).to_parquet(draft.folder / PREDICTIONS)
        pictures = {"history": training_history(outcome.history, outcome.best_epoch)}
        if len(test):
            pictures["test"] = predicted_by_score(predicted, test["score"].to_numpy())
        made = draft.commit(
            "rejected" if reasons else status_of(settings, data),
            parents=[data],
            settings=settings,
            seeds={"seed": settings.seed},
            code_version=CODE_VERSION,
            counts={"train": len(rows), "validation": len(validation), "test": len(test)},
            figures={
                **figures,
                "best_epoch": outcome.best_epoch,
                "seconds": outcome.seconds,
                "history": outcome.history,
                "compute": f"{device.device} {device.precision}",
            },
            reasons=reasons,
        )
    extra = {**few_rows(len(rows)), **{name: image(png) for name, png in pictures.items()}}
    yield report(context, {week: made}, asset, extra)
