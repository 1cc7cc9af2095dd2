"""Commands that materialize: `backfill` weeks of feedback, `train` the models of a week."""

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.commands.runs import recorded_runs, show_runs
from rlhf_assets.commands.weeks import Week, week_option
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import last_closed_week

if TYPE_CHECKING:
    from dagster import DagsterInstance

log = logging.getLogger(__name__)

FEEDBACK = ["raw_message_feedback", "raw_step_feedback", "clean_feedback", "quarantined_feedback", "feedback_audit"]
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
        bool, typer.Option("--estimate", help="Instead: try PPO for a minute and say how long it will take.")
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
        done = materialize_weeks(instance, TRAINED[what], week, week, run_config(changed, TRAINED[what]))
        record_runs(instance, started)
    rows = recorded_runs(since=started)
    if as_json:
        print_json({"week": week, "success": done, "runs": rows})
    else:
        show_runs(rows)
    if not done:
        raise RlhfError(f"training of week {week} failed; the lines above say where and why")


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


def backfill(
    first: Annotated[str | None, week_option("--from", "First week, by the date of its Sunday.")] = None,
    last: Annotated[str | None, week_option("--to", "Last week, included.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Instead: the weeks whose votes have changed since they were extracted.")
    ] = False,
    assets: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Comma-separated; default: raw and clean feedback and audit.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until it is done.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Run it here and now, without the daemon.")] = False,
    as_json: AsJson = False,
) -> None:
    """Extract and clean the feedback of some weeks, in one run.

    Hands the run to the daemon that `make ui` starts; --local does without one. With --stale the newest datasets are
    made anew too; older datasets and models are kept, and marked in the UI.

    \b
    Example:  rlhf backfill --from 2026-10-04 --to 2026-11-15 --wait
              rlhf backfill --from 2026-11-15 --to 2026-11-15 --assets reward_dataset,reward_model --local
              rlhf backfill --stale
    """
    if stale:
        if first or last or assets or local:
            raise typer.BadParameter("--stale finds weeks and assets by itself, and hands them to the daemon")
        return backfill_changed(wait, as_json)
    if first is None or last is None:
        raise typer.BadParameter("say which weeks: --from and --to, or --stale")
    if last < first:
        raise typer.BadParameter(f"--to {last} lies before --from {first}")
    from rlhf_assets.defs.automation.launch import daemon_alive, materialize_weeks, request_backfill
    from rlhf_assets.defs.training_runs.recorder import record_runs

    names = [name.strip() for name in assets.split(",")] if assets else FEEDBACK
    with open_instance() as instance:
        if local:
            done = materialize_weeks(instance, names, first, last)
            record_runs(instance)
            report: dict[str, Any] = {"success": done}
        elif daemon_alive(instance):
            backfill_id = request_backfill(instance, names, first, last)
            report = {"backfill": backfill_id}
            if wait:
                report["success"] = watch(instance, backfill_id)
        else:
            raise RlhfError("no Dagster daemon is running; start one with `make ui`, or run it here with --local")
    if as_json:
        print_json({"from": first, "to": last, "assets": names, **report})
    elif "success" not in report:
        typer.echo(f"backfill {report['backfill']} is queued; `make ui` shows how far it is")
    elif report["success"]:
        typer.echo(f"{', '.join(names)}: done from {first} to {last}")
    if not report.get("success", True):
        raise RlhfError(f"the backfill from {first} to {last} failed; the lines above or the UI say where and why")


def backfill_changed(wait: bool, as_json: bool) -> None:
    """Have the weeks made anew whose votes have changed since they were extracted."""
    from rlhf_assets.defs.automation.changed_feedback import changed, extracted_weeks, make_anew
    from rlhf_assets.defs.automation.launch import daemon_alive
    from rlhf_assets.defs.resources import Artifacts, Database

    store, weeks = Artifacts().store, []
    for week, differs in changed(Database(), store, extracted_weeks(store)):
        log.info("week %s: %s", week, "; ".join(differs) or "as extracted")
        weeks += [week] if differs else []
    report: dict[str, Any] = {"weeks": sorted(weeks), "backfill": None, "made_anew": {}, "marked": 0}
    if weeks:
        with open_instance() as instance:
            if not daemon_alive(instance):
                raise RlhfError(f"{len(weeks)} weeks have changed and no Dagster daemon is running; start `make ui`")
            report["backfill"], report["made_anew"], report["marked"] = make_anew(instance, store, sorted(weeks))
            for asset, anew in report["made_anew"].items():
                log.info("to be made anew: %s, %s", asset, f"{len(anew)} weeks" if len(anew) > 1 else anew[0])
            log.info("kept and marked as outdated: %d older datasets and models", report["marked"])
            if wait:
                report["success"] = watch(instance, report["backfill"])
    if as_json:
        print_json(report)
    elif weeks:
        done = "done" if report.get("success") else "queued; `make ui` shows how far it is"
        typer.echo(f"{', '.join(sorted(weeks))}: backfill {report['backfill']} {done}")
    else:
        typer.echo("no vote has changed since its week was extracted")
    if not report.get("success", True):
        raise RlhfError("the backfill of the changed weeks failed; the lines above or the UI say where and why")


def watch(instance: "DagsterInstance", backfill_id: str) -> bool:
    """Say what becomes of the backfill until it is done; whether it succeeded."""
    from rlhf_assets.defs.automation.launch import backfill_status, daemon_alive

    said = ""
    while True:
        now = backfill_status(instance, backfill_id)
        text = f"backfill {backfill_id}: {now.status.lower()}" + "".join(
            f" · {count} {'run' if count == 1 else 'runs'} {status.lower()}" for status, count in now.runs.items()
        )
        if text != said:
            log.info(text)
            said = text
        if now.done:
            for reason in now.skipped:
                log.warning(reason)
            for failure in now.failures:
                log.error(failure)
            return now.succeeded
        if not daemon_alive(instance):
            raise RlhfError("the Dagster daemon has stopped; the backfill goes on when `make ui` starts it again")
        time.sleep(2)
