"""The policy that learned from the reward model."""

from collections.abc import Iterator

import dagster as dg

from rlhf_assets.defs.datasets.policy_prompts import PROMPTS
from rlhf_assets.defs.datasets.too_little_new import too_little_new
from rlhf_assets.defs.labels import MODEL_FRESH
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS, week_of_run
from rlhf_assets.defs.reporting import GPU_TAGS, OWNERS, few_rows, image, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts, ComputeResource
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.checkpoint import drop
from rlhf_assets.storage.home import checkpoint_file

CODE_VERSION = "4"
MEASURED = {  # of the policy kept, or of the update before the last
    "score": "reward_score",
    "kl": "kl_nats_a_reply",
    "entropy": "entropy_nats_a_token",
    "length": "tokens_a_reply",
    "stop_rate": "share_that_stopped",
}


@launchpad_form
class PpoConfig(dg.Config, PpoSettings):
    """How the policy is optimised; other values than the project's own make an experiment."""


def why_none(store: ArtifactStore, asset: str, week: str) -> str:
    """Why there is no model of that asset and week to build on."""
    made = store.of_week(asset, week)
    if not made:
        data = store.newest("reward_dataset", week)
        if data and (reason := too_little_new(store, week, data)):
            return f"{asset} of week {week} was skipped: {reason}"
        return f"there is no {asset} of week {week}: it was skipped or never trained"
    card = made[-1].card
    because = f" ({'; '.join(card.reasons)})" if card.reasons else ""
    return f"no {asset} of week {week} is accepted; the newest one is {card.status}{because}"


def why_no_reward(store: ArtifactStore, week: str) -> str | None:
    """Why the week's reward model may not be followed: there is none, or today's gates refuse it; None where it may."""
    from rlhf_assets.reward.gate import reasons_today

    reward = store.newest("reward_model", week)
    if reward is None:
        return why_none(store, "reward_model", week)
    if against := reasons_today(reward.card.figures, project_settings(RewardSettings)):
        again = f"`rlhf train reward --week {week}` trains it again"
        return f"{reward.relative_path} fails today's gates: {'; '.join(against)}; {again}"
    return None


@dg.asset(
    deps=["sft_policy", "reward_model", "judge_model", "policy_prompts"],
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
def ppo_policy(
    context: dg.AssetExecutionContext, config: PpoConfig, artifacts: Artifacts, compute: ComputeResource
) -> Iterator[dg.MaterializeResult]:
    """The fine-tuned policy after PPO against the week's accepted reward model; a candidate until promotion.

    The week's judge chooses the round that is kept; without one it is the last. Skipped, with the reason, where no
    reward model of the week passes today's gates. A run that was killed goes on from its checkpoint. The weights lie
    beside in the form that stock transformers loads.
    """
    from rlhf_assets.policy.plots import training_history
    from rlhf_assets.policy.together import train_ppo_together

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, PpoSettings)
    with mendable():
        if reason := why_no_reward(store, week):
            skip(context, week, reason)
            return
        reward = store.require("reward_model", week)
        start = store.for_run("sft_policy", week, context.run.run_id)
        if start is None:
            skip(context, week, why_none(store, "sft_policy", week))
            return
        asked = store.for_run("policy_prompts", week, context.run.run_id) or store.require("policy_prompts", week)
        prompts, judge = asked.frame(PROMPTS), store.newest("judge_model", week)
    parents = [start, reward, asked, *([judge] if judge else [])]
    with mendable(), store.draft("ppo_policy", week, context.run.run_id) as draft:
        device = compute.choose()
        checkpoint = checkpoint_file("ppo_policy", week, settings.model_dump_json())  # a retry goes on from there
        figures = train_ppo_together(
            compute.processes,
            sft=start.local(),
            reward=reward.local(),
            prompts=prompts.query("side == 'train'"),
            judge=judge.local() if judge else None,
            choice=prompts.query("side == 'validation'"),
            settings=settings,
            compute=device,
            folder=draft.folder,
            checkpoint=checkpoint,
            made_from=" ".join(parent.card.content_hash for parent in parents),
        )
        made = draft.commit(
            "experiment" if status_of(settings, start, asked) == "experiment" else "candidate",
            parents=parents,
            settings=settings,
            seeds={"seed": settings.seed},
            code_version=CODE_VERSION,
            counts={"prompts": len(prompts.query("side == 'train'"))},
            figures={**figures, "compute": f"{device.device} {device.precision}"},
        )
        drop(checkpoint)
    picture = image(training_history(figures["history"], figures["judged"], figures["chosen_update"]))
    final = {name: figures["final"][measured] for measured, name in MEASURED.items()}
    yield report(
        context,
        {week: made},
        "ppo_policy",
        {**few_rows(made.card.counts["prompts"]), "training_curves": picture, **final},
    )
