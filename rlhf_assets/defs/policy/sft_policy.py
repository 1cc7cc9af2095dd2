"""The policy that PPO starts from."""

from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.automation.under_way import made_meanwhile
from rlhf_assets.defs.datasets.reward_dataset import load_dataset
from rlhf_assets.defs.datasets.too_little_new import too_little_new
from rlhf_assets.defs.labels import MODEL_FRESH
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS, week_of_run
from rlhf_assets.defs.reporting import GPU_TAGS, OWNERS, few_rows, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts, ComputeResource
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.settings import SftSettings

CODE_VERSION = "1"


@launchpad_form
class SftConfig(dg.Config, SftSettings):
    """How the policy is fine-tuned; other values than the project's own make an experiment."""


@dg.asset(
    deps=["reward_dataset"],
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    pool="gpu",
    op_tags=GPU_TAGS,
    kinds={"pytorch", "huggingface"},
    owners=OWNERS,
    freshness_policy=MODEL_FRESH,
    group_name="policy",
    code_version=CODE_VERSION,
)
def sft_policy(
    context: dg.AssetExecutionContext, config: SftConfig, artifacts: Artifacts, compute: ComputeResource
) -> Iterator[dg.MaterializeResult]:
    """The base model fine-tuned on whole answers that people rated well, on the training side only.

    Where PPO starts from and what it is compared with. Skipped with too few good answers.
    """
    from rlhf_assets.policy.sft import train_sft, well_rated

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, SftSettings)
    with mendable():
        data = store.for_run("reward_dataset", week, context.run.run_id) or store.require("reward_dataset", week)
        votes = load_dataset(data).train
    status = status_of(settings, data)
    if status != "experiment":
        reason = too_little_new(store, week, data) or made_meanwhile(context, store, week)
        if reason:
            skip(context, week, reason)
            return
    answers = votes[votes["kind"] == "message"]
    try:
        good = len(well_rated(answers, settings))
    except RlhfError as too_few:
        skip(context, week, str(too_few))
        return
    with mendable(), store.draft("sft_policy", week, context.run.run_id) as draft:
        device = compute.choose()
        figures = train_sft(answers, settings, device, draft.folder)
        made = draft.commit(
            status,
            parents=[data],
            settings=settings,
            seeds={"seed": settings.seed},
            code_version=CODE_VERSION,
            counts={"votes": len(answers), "well_rated": good},
            figures={**figures, "compute": f"{device.device} {device.precision}"},
        )
    yield report(context, {week: made}, "sft_policy", few_rows(figures["answers"]))
