"""Which policy the assistant should use."""

from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.evaluation.policy_evaluation import lineage
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS, week_of_run
from rlhf_assets.defs.reporting import OWNERS, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.policy.settings import GateSettings

CODE_VERSION = "1"

WEEK_BEFORE = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True)


@launchpad_form
class GateConfig(dg.Config, GateSettings):
    """What a policy must show; a verdict with other values than the project's own promotes nothing."""


@dg.asset(
    deps=["policy_evaluation", dg.AssetDep("promotion", partition_mapping=WEEK_BEFORE)],
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    owners=OWNERS,
    group_name="evaluation",
    code_version=CODE_VERSION,
)
def promotion(
    context: dg.AssetExecutionContext, config: GateConfig, artifacts: Artifacts
) -> Iterator[dg.MaterializeResult]:
    """The verdict of the gate on the week's policy, against the one promoted in an earlier week, at first SFT.

    A later week's promotion stands: the pointer to the policy in use moves only forward.
    """
    from rlhf_assets.policy.gate import promotion_gate

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, GateSettings)
    with mendable():
        evaluation = store.for_run("policy_evaluation", week, context.run.run_id) or store.require(
            "policy_evaluation", week
        )
        policy = lineage(store, evaluation, "ppo_policy")
    if status_of(settings, evaluation) == "experiment":
        skip(context, week, "an experiment is never promoted")
        return
    reasons = promotion_gate(evaluation.card.figures, settings)
    with store.draft("promotion", week, context.run.run_id) as draft:
        made = draft.commit(
            "rejected" if reasons else "promoted",
            parents=[policy, evaluation],
            settings=settings,
            code_version=CODE_VERSION,
            reasons=reasons,
        )
    in_use = not reasons and store.promote(policy)
    yield report(context, {week: made}, "promotion", {"in_use": in_use, "policy": policy.relative_path})
