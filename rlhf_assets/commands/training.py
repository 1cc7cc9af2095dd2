"""`rlhf train`: the models of a week, here and now, or how long PPO would take."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.commands.runs import recorded_runs, show_runs
from rlhf_assets.commands.weeks import Week
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import last_closed_week

REWARD = ["reward_dataset", "reward_model", "judge_model"]
PPO = ["policy_prompts", "sft_policy", "ppo_policy", "policy_evaluation", "promotion"]
TRAINED = {"reward": REWARD, "ppo": PPO, "both": [*REWARD, *PPO]}


def train(
    what: Annotated[Literal["reward", "ppo", "both"], typer.Argument(help="Which models to train.")],
    week: Week = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the votes (reward), over each batch of answers (ppo).")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Folder or hub id to start from; for reward or ppo, not both.")
    ] = None,
    model_path: Annotated[
        str | None, typer.Option(metavar="DIR", help="Earlier reward model to continue from; for reward or both.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Instead: try PPO for a few minutes and say how long it will take.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train the models of a week, here and now.

    The feedback must be extracted already (`rlhf backfill`). reward: the reward model, and the judge that later
    compares policies. ppo: fine-tuning on good answers, PPO, the comparison on held-out prompts, and promotion if the
    policy is better. With a base model, a model path or epochs of their own the models are experiments: kept and
    recorded, never used by another model.

    \b
    Example:  rlhf train both
              rlhf train reward --week 2026-11-15 --epochs 3
              rlhf train ppo --base-model gpt2
              rlhf train ppo --estimate
    """
    if base_model and what == "both":
        raise typer.BadParameter("one base model cannot serve both; train reward and ppo one after the other")
    if model_path and what == "ppo":
        raise typer.BadParameter("--model-path continues a reward model; train ppo starts from --base-model")
    if estimate and what != "ppo":
        raise typer.BadParameter("--estimate is of PPO, once there is a reward model: rlhf train ppo --estimate")
    from rlhf_assets.defs.automation.launch import materialize_weeks
    from rlhf_assets.defs.policy.ppo_policy import why_no_reward
    from rlhf_assets.defs.resources import Artifacts
    from rlhf_assets.defs.training_runs.recorder import record_runs
    from rlhf_assets.defs.training_runs.run_ends import newest_event

    changed: dict[str, dict[str, Any]] = {
        "reward_model": {"epochs": epochs, "base_model": base_model, "model_path": model_path},
        "judge_model": {"epochs": epochs, "base_model": base_model},  # its start must not know the others' votes
        "sft_policy": {"base_model": base_model},
        "ppo_policy": {"epochs": epochs},
    }
    week, started = week or last_closed_week(), datetime.now(UTC)
    if what == "ppo" and (reason := why_no_reward(Artifacts().store, week)):  # said before SFT takes its minutes
        raise RlhfError(f"PPO would have no reward to follow: {reason}")
    if estimate:
        return show_estimate(week, epochs, base_model, as_json)
    with open_instance() as instance:
        before = newest_event(instance)
        done = materialize_weeks(instance, TRAINED[what], [week], run_config(changed, TRAINED[what]))
        record_runs(instance, before)
    rows = recorded_runs(since=started)
    if as_json:
        print_json({"week": week, "success": done, "runs": rows})
    else:
        show_runs(rows)
    if not done:
        how = "was canceled" if any(row["outcome"] == "canceled" for row in rows) else "failed"
        raise RlhfError(f"training of week {week} {how}; the lines above say where and why")


def show_estimate(week: str, epochs: int | None, base_model: str | None, as_json: bool) -> None:
    """How long the week's PPO will take on this machine, and how much memory."""
    from rlhf_assets.compute import choose_compute
    from rlhf_assets.defs.policy.ppo_estimate import estimate
    from rlhf_assets.defs.resources import Artifacts
    from rlhf_assets.policy.settings import PpoSettings
    from rlhf_assets.settings import project_settings

    settings, compute = project_settings(PpoSettings), choose_compute()
    if epochs:
        settings = settings.model_copy(update={"epochs": epochs})
    found = estimate(Artifacts().store, week, settings, compute, base_model)
    if as_json:
        memory = {"memory_gb": found.memory_gb, "device_memory_gb": found.device_memory_gb}
        return print_json({"week": week, "minutes": found.minutes, **memory, "seconds": found.seconds})
    device = "" if found.device_memory_gb is None else f", {found.device_memory_gb:.1f} GB on the device"
    typer.echo(
        f"PPO of week {week} will take about {found.minutes:.1f} minutes and {found.memory_gb:.1f} GB{device} "
        f"({settings.updates} updates, {compute.device} {compute.precision}); fine-tuning and comparison come on top"
    )
    for what, seconds in found.seconds.items():
        typer.echo(f"  {what}: {seconds / 60:.1f} minutes")


def run_config(changed: dict[str, dict[str, Any]], assets: list[str]) -> dict[str, Any]:
    """The launchpad's form for the settings that are given, of the assets that run."""
    given = {asset: {name: value for name, value in form.items() if value} for asset, form in changed.items()}
    return {"ops": {asset: {"config": form} for asset, form in given.items() if form and asset in assets}}
