"""What policies practise and are compared on, as of a week's end."""

from collections import Counter

import dagster as dg

from rlhf_assets.defs.datasets.known_feedback import clean_votes
from rlhf_assets.defs.datasets.reward_dataset import SplitConfig
from rlhf_assets.defs.labels import FEEDBACK_FRESH, USER_TEXT, column_schema
from rlhf_assets.defs.launchpad import settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, UP_TO_NOW, WEEKS, week_of_run
from rlhf_assets.defs.reporting import OWNERS, mendable, report
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.feedback.columns import PROMPTS as COLUMNS
from rlhf_assets.feedback.settings import SplitSettings

CODE_VERSION = "3"
PROMPTS = "prompts.parquet"


@dg.asset(
    deps=[dg.AssetDep("clean_feedback", partition_mapping=UP_TO_NOW)],
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    kinds={"pandas", "parquet"},
    owners=OWNERS,
    tags=USER_TEXT,
    metadata=column_schema(COLUMNS),
    freshness_policy=FEEDBACK_FRESH,
    group_name="datasets",
    code_version=CODE_VERSION,
)
def policy_prompts(
    context: dg.AssetExecutionContext, config: SplitConfig, artifacts: Artifacts
) -> dg.MaterializeResult:
    """Every distinct state of a chat that people rated an answer to, on the same sides as the reward dataset.

    Policies practise on `train`, the judge chooses among their rounds on `validation`, and all are compared on `test`.
    From the clean feedback of all weeks so far; it fails where one of them was never cleaned, and says the command.
    """
    from rlhf_assets.feedback.prompts import policy_prompts as prompts_of

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, SplitSettings)
    with mendable():
        clean, parents = clean_votes(store, week)
    prompts = prompts_of(clean, settings)
    with mendable(), store.draft("policy_prompts", week, context.run.run_id) as draft:
        prompts.to_parquet(draft.folder / PROMPTS)
        made = draft.commit(
            status_of(settings),
            parents=parents,
            settings=settings,
            code_version=CODE_VERSION,
            counts={"prompts": len(prompts), **Counter(prompts["side"])},
        )
    return report(context, {week: made}, "policy_prompts")
