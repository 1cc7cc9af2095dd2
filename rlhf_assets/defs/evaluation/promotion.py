"""Which policy the assistant should use."""

from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.evaluation.policy_evaluation import lineage, policy_of_run
from rlhf_assets.defs.labels import MODEL_FRESH
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS, week_of_run
from rlhf_assets.defs.policy.ppo_policy import why_none
from rlhf_assets.defs.reporting import OWNERS, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.settings import GateSettings
from rlhf_assets.storage.artifacts import Artifact
from rlhf_assets.storage.card import Status
from rlhf_assets.storage.promotions import promoted_before, settle, why_demoted

CODE_VERSION = "2"


@launchpad_form
class GateConfig(dg.Config, GateSettings):
    """What a policy must show; a verdict with other values than the project's own promotes nothing."""


# It hangs on the promotion of the week before, and so does policy_evaluation. Dagster is not told: it would run the
# promotions of a backfill apart from their weeks, after the comparisons, and would wait for ever for that of a week
# which is skipped. The run queue works a backfill off week after week instead.
@dg.asset(
    deps=["policy_evaluation"],
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    kinds={"json"},
    owners=OWNERS,
    freshness_policy=MODEL_FRESH,
    group_name="evaluation",
    code_version=CODE_VERSION,
)
def promotion(
    context: dg.AssetExecutionContext, config: GateConfig, artifacts: Artifacts
) -> Iterator[dg.MaterializeResult]:
    """The verdict of the gate on the week's policy, against the one promoted in an earlier week, at first SFT.

    Refused with its reasons, else promoted and in use at once. A later week's promotion stands. Where a person is to
    approve, what passes is accepted and not yet in use; what a person took out of use is not promoted again by a run.
    """
    from rlhf_assets.policy.gate import promotion_gate

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, GateSettings)
    with mendable():
        evaluation = store.for_run("policy_evaluation", week, context.run.run_id)
        if evaluation is None and policy_of_run(store, week, context.run.run_id) is None:
            skip(context, week, why_none(store, "ppo_policy", week))
            return
        evaluation = evaluation or store.require("policy_evaluation", week)
        policy = lineage(store, evaluation, "ppo_policy")
    if status_of(settings, evaluation) == "experiment":
        skip(context, week, "an experiment is never promoted")
        return
    with mendable(), store.draft("promotion", week, context.run.run_id) as draft:
        check_incumbent(evaluation, policy, promoted_before(store, week))
        reasons = [*why_demoted(store, policy), *promotion_gate(evaluation.card.figures, settings)]
        status: Status = "rejected" if reasons else "accepted" if settings.approval else "promoted"
        if status == "accepted":
            reasons = [f"it passes and waits for a person's `rlhf promote --week {week}`"]
        made = draft.commit(
            status,
            parents=[policy, evaluation],
            settings=settings,
            code_version=CODE_VERSION,
            reasons=reasons,
        )
        used = settle(store)
    in_use = used is not None and used.relative_path == policy.relative_path
    yield report(context, {week: made}, "promotion", {"in_use": in_use, "policy": policy.relative_path})


def check_incumbent(evaluation: Artifact, policy: Artifact, incumbent: Artifact | None) -> None:
    """RlhfError unless the policy was compared with that incumbent, which a person or another run may have changed."""
    policies = {parent.path for parent in evaluation.card.parents if parent.asset == "ppo_policy"}
    if policies - {policy.relative_path} != ({incumbent.relative_path} if incumbent else set()):
        week = evaluation.card.week
        raise RlhfError(
            f"the comparison of week {week} was made before an earlier week's promotion changed; "
            f"make policy_evaluation of {week} anew"
        )
