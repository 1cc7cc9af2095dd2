"""What a PPO of that week will take, before it is run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from rlhf_assets.defs.datasets.known_feedback import clean_votes
from rlhf_assets.defs.datasets.policy_prompts import PROMPTS
from rlhf_assets.defs.launchpad import launchpad_form, settings_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS, week_of_run
from rlhf_assets.defs.policy.ppo_policy import why_no_reward
from rlhf_assets.defs.reporting import GPU_TAGS, OWNERS, mendable, skip
from rlhf_assets.defs.resources import Artifacts, ComputeResource
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.policy.settings import PpoSettings, SftSettings
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.home import home
from rlhf_assets.storage.models import resolve_model

if TYPE_CHECKING:
    from rlhf_assets.compute import Compute
    from rlhf_assets.policy.estimate import Estimate


@launchpad_form
class EstimateConfig(dg.Config, PpoSettings):
    """The settings of the PPO to be estimated."""


def estimate(
    store: ArtifactStore, week: str, settings: PpoSettings, compute: "Compute", base_model: str | None = None
) -> "Estimate":
    """Of the week's PPO from its SFT policy and prompts; before there are any, from what they will be made of."""
    from rlhf_assets.feedback.prompts import policy_prompts
    from rlhf_assets.policy.estimate import estimate_ppo
    from rlhf_assets.policy.ppo import Judge
    from rlhf_assets.reward.scoring import RewardScorer

    sft = None if base_model else store.newest("sft_policy", week)
    start: str | Path = sft.local() if sft else resolve_model(base_model or project_settings(SftSettings).base_model)
    if asked := store.newest("policy_prompts", week):
        prompts = asked.frame(PROMPTS)
    else:  # nothing but the reward model has been trained
        prompts = policy_prompts(clean_votes(store, week)[0], project_settings(SplitSettings))
    reward = RewardScorer(store.require("reward_model", week).local(), compute)
    judge = store.newest("judge_model", week)
    chooses = (
        Judge(RewardScorer(judge.local(), compute).score, prompts.query("side == 'validation'")) if judge else None
    )
    scratch = home() / "checkpoints"
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    practised = prompts.query("side == 'train'")
    return estimate_ppo(start, practised, reward.score, settings, compute, chooses, scratch, reward.score)


@dg.asset(
    deps=["sft_policy", "reward_model", "judge_model", "policy_prompts"],
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    pool="gpu",
    op_tags=GPU_TAGS,
    kinds={"pytorch"},
    owners=OWNERS,
    group_name="policy",
    code_version="1",
)
def ppo_estimate(
    context: dg.AssetExecutionContext, config: EstimateConfig, artifacts: Artifacts, compute: ComputeResource
) -> Iterator[dg.MaterializeResult]:
    """Minutes and memory that ppo_policy will take with these settings, in one process; not part of the weekly job."""
    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, PpoSettings)
    with mendable():
        if reason := why_no_reward(store, week):
            skip(context, week, reason)
            return
        found = estimate(store, week, settings, compute.choose())
    seconds = {what.replace(" ", "_") + "_seconds": spent for what, spent in found.seconds.items()}
    device = {} if found.device_memory_gb is None else {"device_memory_gb": found.device_memory_gb}
    yield dg.MaterializeResult(metadata={"minutes": found.minutes, "memory_gb": found.memory_gb, **device, **seconds})
