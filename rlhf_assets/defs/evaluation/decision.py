"""A person's decision on a policy, told where a run's verdict would be told."""

import dagster as dg

from rlhf_assets.defs.reporting import figures_of
from rlhf_assets.defs.training_runs.recorder import record_run
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.promotions import PROMOTION, policy_of


def tell(instance: dg.DagsterInstance, store: ArtifactStore, decision: Artifact) -> None:
    """Show it on the week's promotion in the UI, and write it to the policy's row of rlhf_training_runs."""
    policy = policy_of(store, decision)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=PROMOTION,
            partition=decision.card.week,
            metadata={**figures_of(decision), "policy": policy.relative_path},
        )
    )
    record_run(instance, policy.card.run_id)
