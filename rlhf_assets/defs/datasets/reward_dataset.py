"""What reward models learn from and are tested on, as of a week's end."""

from typing import TYPE_CHECKING

import dagster as dg

from rlhf_assets.defs.datasets.known_feedback import clean_votes, known_coverage, origin
from rlhf_assets.defs.labels import FEEDBACK_FRESH, USER_TEXT, column_schema
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, UP_TO_NOW, WEEKS, week_of_run
from rlhf_assets.defs.reporting import OWNERS, mendable, report
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.columns import DATASET
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.storage.artifacts import Artifact

if TYPE_CHECKING:
    from rlhf_assets.feedback.split import Dataset

CODE_VERSION = "3"


@launchpad_form
class SplitConfig(dg.Config, SplitSettings):
    """Who trains and who tests; other values than the project's own make an experiment."""


@dg.asset(
    deps=[dg.AssetDep("clean_feedback", partition_mapping=UP_TO_NOW)],
    check_specs=[
        dg.AssetCheckSpec(
            "split_overlap",
            asset="reward_dataset",
            blocking=True,
            description="No query, near duplicate or conversation is on two sides, no judge's user trains the reward "
            "model, and nobody knew the newest questions before this week.",
        )
    ],
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    kinds={"pandas", "parquet"},
    owners=OWNERS,
    tags=USER_TEXT,
    metadata=column_schema(DATASET),
    freshness_policy=FEEDBACK_FRESH,
    group_name="datasets",
    code_version=CODE_VERSION,
)
def reward_dataset(
    context: dg.AssetExecutionContext, config: SplitConfig, artifacts: Artifacts
) -> dg.MaterializeResult:
    """Each person's current vote on each answer or step: train, validation and three tests; pairs, thumbs, steps.

    From the clean feedback of all weeks so far, as Parquet, CSV and Hugging Face datasets. A vote stays on its side
    for ever. A dataset that leaks between sides is rejected, and no model learns from it.
    """
    from rlhf_assets.feedback.dataset_files import write_dataset
    from rlhf_assets.feedback.leaks import leaks
    from rlhf_assets.feedback.propensity import inverse_propensity
    from rlhf_assets.feedback.split import build_dataset

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, SplitSettings)
    with mendable():
        clean, parents = clean_votes(store, week)
        known, rated = origin(store, parents), known_coverage(store, parents)
    clean = clean.assign(inverse_propensity=inverse_propensity(clean, rated))
    dataset = build_dataset(clean, settings, week)
    leaking = leaks(dataset, settings)
    with mendable(), store.draft("reward_dataset", week, context.run.run_id) as draft:
        views = write_dataset(dataset, draft.folder, settings.answers_per_state)
        rows = {**dataset.sides(), **dataset.newest_questions(), "conflicts": dataset.conflicts}
        made = draft.commit(
            "rejected" if leaking else status_of(settings),
            parents=parents,
            settings=settings,
            code_version=CODE_VERSION,
            counts={**{name: len(frame) for name, frame in rows.items()}, "superseded": dataset.superseded},
            figures={**known, "views": views},
            reasons=leaking,
        )
    check = dg.AssetCheckResult(
        check_name="split_overlap",
        passed=not leaking,
        metadata={
            "votes": sum(map(len, dataset.sides().values())),
            "leaks": "; ".join(leaking) or "none",
        },
    )
    return report(context, {week: made}, "reward_dataset", check_results=[check])


def load_dataset(artifact: Artifact) -> "Dataset":
    """The dataset of that artifact; RlhfError when a side leaks, since a check stops only its own run."""
    from rlhf_assets.feedback.leaks import leaks
    from rlhf_assets.feedback.split import NEWEST, SIDES, Dataset

    if "judge_newest.parquet" not in artifact.card.files:
        raise RlhfError(f"{artifact.folder} was made by an earlier version of this project; make reward_dataset anew")
    names = [*SIDES, *(f"judge_{side}" for side in SIDES), *NEWEST, "conflicts"]
    frames = {name: artifact.frame(f"{name}.parquet") for name in names}
    dataset = Dataset(artifact.card.week, **frames, superseded=artifact.card.counts["superseded"])
    if leaking := leaks(dataset, SplitSettings(**artifact.card.settings)):
        raise RlhfError(f"{artifact.folder} leaks between its sides ({'; '.join(leaking)}); make reward_dataset anew")
    return dataset
