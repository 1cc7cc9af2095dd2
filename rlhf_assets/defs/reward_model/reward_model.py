"""The models that turn an answer into a number: one that rewards the policy, one that judges it."""

import dagster as dg

from rlhf_assets.defs.labels import MODEL_FRESH, USER_TEXT
from rlhf_assets.defs.launchpad import launchpad_form, settings_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS
from rlhf_assets.defs.reporting import GPU_TAGS, OWNERS
from rlhf_assets.defs.resources import Artifacts, ComputeResource
from rlhf_assets.defs.reward_model.checks import checks_of
from rlhf_assets.defs.reward_model.training import CODE_VERSION, Made, train
from rlhf_assets.reward.settings import RewardSettings


@launchpad_form
class RewardConfig(dg.Config, RewardSettings):
    """How a reward model is trained; other values than the project's own make an experiment."""


@dg.asset(
    deps=["reward_dataset"],
    check_specs=checks_of("reward_model"),
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    pool="gpu",
    op_tags=GPU_TAGS,
    kinds={"pytorch", "huggingface"},
    owners=OWNERS,
    tags=USER_TEXT,
    freshness_policy=MODEL_FRESH,
    group_name="reward_model",
    code_version=CODE_VERSION,
)
def reward_model(
    context: dg.AssetExecutionContext, config: RewardConfig, artifacts: Artifacts, compute: ComputeResource
) -> Made:
    """Predicts the rating of an answer or a step: what PPO follows.

    Learned from the training side of the reward dataset, without the held-out users. Rejected, and then never used,
    unless it passes all gates, which are its blocking checks; skipped with too few votes. The report, the test rows
    with predictions and the 20 worst of them lie beside.
    """
    yield from train(context, settings_of(config, RewardSettings), artifacts, compute)


@dg.asset(
    deps=["reward_dataset"],
    check_specs=checks_of("judge_model"),
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    pool="gpu",
    op_tags=GPU_TAGS,
    kinds={"pytorch", "huggingface"},
    owners=OWNERS,
    tags=USER_TEXT,
    freshness_policy=MODEL_FRESH,
    group_name="reward_model",
    code_version=CODE_VERSION,
)
def judge_model(
    context: dg.AssetExecutionContext, config: RewardConfig, artifacts: Artifacts, compute: ComputeResource
) -> Made:
    """The same on the votes of users held out from the reward model, so that a policy cannot please it by accident.

    It compares the policies, chooses among PPO's rounds and so decides on promotion. Gates as of reward_model.
    """
    yield from train(context, settings_of(config, RewardSettings), artifacts, compute, voters="judge_")
