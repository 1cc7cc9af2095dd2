"""A person's decision on a policy, told where a run's verdict would be told."""

import dagster as dg

from rlhf_assets.defs.reporting import report_outside_run
from rlhf_assets.defs.training_runs.recorder import record_run
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.promotions import policy_of


def tell(instance: dg.DagsterInstance, store: ArtifactStore, decision: Artifact) -> None:
    """Show it on the week's promotion in the UI, and write it to the policy's row of rlhf_training_runs."""
    policy = policy_of(store, decision)
    report_outside_run(instance, decision, {"policy": policy.relative_path})
    record_run(instance, policy.card.run_id)
