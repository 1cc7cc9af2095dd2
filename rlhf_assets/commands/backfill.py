"""`rlhf backfill`: weeks of feedback, or of any asset, by the daemon or here."""

import logging
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.commands.weeks import week_option
from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import first_week, last_closed_week, weeks_between
from rlhf_assets.progress import duration

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from rlhf_assets.storage.artifacts import ArtifactStore

log = logging.getLogger(__name__)

NEEDED = {  # without which assets fail; without a model they are skipped, which says why
    "raw_message_feedback", "raw_step_feedback", "clean_feedback", "quarantined_feedback",
    "reward_dataset", "policy_prompts",
}  # fmt: skip
FEEDBACK = ["raw_message_feedback", "raw_step_feedback", "clean_feedback", "quarantined_feedback", "feedback_audit"]


def backfill(
    first: Annotated[
        str | None, week_option("--from", "First week, by the date of its Sunday; default: go on where weeks miss.")
    ] = None,
    last: Annotated[str | None, week_option("--to", "Last week, included.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Instead: the weeks whose votes have changed since they were extracted.")
    ] = False,
    assets: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Comma-separated; default: raw and clean feedback and audit.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which weeks, and about how long.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until it is done.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Run it here and now, without the daemon.")] = False,
    cancel: Annotated[str | None, typer.Option(metavar="ID", help="Instead: cancel that one and its runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Extract and clean the feedback of some weeks, in one run.

    Without weeks: all closed ones that miss one of the assets, as after a backfill that was canceled or failed. Hands
    the run to the daemon that `make ui` starts; --local does without one. With --stale the newest datasets are made
    anew too; older datasets and models are kept, and marked in the UI.

    \b
    Example:  rlhf backfill --wait
              rlhf backfill --from 2026-10-04 --to 2026-11-15 --dry-run
              rlhf backfill --from 2026-11-15 --to 2026-11-15 --assets reward_dataset,reward_model --local
              rlhf backfill --stale
    """
    if cancel:
        return cancel_backfill(cancel, as_json)
    if stale:
        if first or last or assets or local or dry_run:
            raise typer.BadParameter("--stale finds weeks and assets by itself, and hands them to the daemon")
        return backfill_changed(wait, as_json)
    if (first is None) != (last is None):
        raise typer.BadParameter("say both --from and --to, or neither for the weeks that miss")
    if first and last and last < first:
        raise typer.BadParameter(f"--to {last} lies before --from {first}")
    from rlhf_assets.defs.automation.launch import daemon_alive, materialize_weeks, request_backfill
    from rlhf_assets.defs.automation.plan import missing_inputs, weeks_without
    from rlhf_assets.defs.resources import Artifacts
    from rlhf_assets.defs.training_runs.recorder import record_runs
    from rlhf_assets.defs.training_runs.run_ends import newest_event

    names = [name.strip() for name in assets.split(",")] if assets else FEEDBACK
    store = Artifacts().store
    if first and last:
        weeks = weeks_between(first, last)
    else:
        closed = weeks_between(first_week(), last_closed_week())
        weeks = sorted({week for name in names for week in weeks_without(store, name, closed)})
    report: dict[str, Any] = {"from": weeks[0], "to": weeks[-1]} if weeks else {"from": None, "to": None}
    report |= {"weeks": len(weeks), "assets": names}
    with open_instance() as instance:
        if dry_run:
            return show_plan(instance, store, names, weeks, report, as_json)
        if not weeks:
            report["success"] = True
        elif lacking := {name: of for name, of in missing_inputs(store, names, weeks).items() if name in NEEDED}:
            raise RlhfError("; ".join(is_missing(name, without) for name, without in lacking.items()))
        elif local:
            before = newest_event(instance)
            report["success"] = materialize_weeks(instance, names, weeks)
            record_runs(instance, before)
        elif daemon_alive(instance):
            report["backfill"] = request_backfill(instance, names, weeks)
            if wait:
                report["success"] = watch(instance, report["backfill"])
        else:
            raise RlhfError("no Dagster daemon is running; start one with `make ui`, or run it here with --local")
    if report.get("success"):  # which a step that is skipped, for too few votes or no reward model, does not change
        without = {name: weeks_without(store, name, weeks) for name in names}
        report["not_made"] = {name: missing for name, missing in without.items() if missing}
    if as_json:
        print_json(report)
    elif not weeks:
        typer.echo(f"nothing to do: every closed week has {', '.join(names)}")
    elif "success" not in report:
        typer.echo(f"backfill {report['backfill']} is queued; `make ui` shows how far it is")
    elif report["success"]:
        typer.echo(f"{', '.join(names)}: done from {weeks[0]} to {weeks[-1]}")
        for name, missing in report["not_made"].items():
            typer.echo(f"{name} was not made, or not to be used, for {told(missing)}; the lines above say why")
    if not report.get("success", True):
        again = f"rlhf backfill --assets {assets}" if assets else "rlhf backfill"
        raise RlhfError(
            f"the backfill from {weeks[0]} to {weeks[-1]} failed; the lines above or the UI say where and why, and "
            f"`{again}` without weeks goes on with those that miss"
        )


def told(weeks: list[str]) -> str:
    """Some weeks in a few words."""
    return f"week {weeks[0]}" if len(weeks) == 1 else f"{len(weeks)} weeks from {weeks[0]} on"


def is_missing(asset: str, weeks: list[str]) -> str:
    return f"{asset} of {told(weeks)} is missing; make it first, or name it in --assets too"


def show_plan(
    instance: "DagsterInstance",
    store: "ArtifactStore",
    names: list[str],
    weeks: list[str],
    report: dict[str, Any],
    as_json: bool,
) -> None:
    """What a backfill would make, how long that took before, and what it would miss."""
    from rlhf_assets.defs.automation.launch import chosen, runs_of
    from rlhf_assets.defs.automation.plan import missing_inputs, seconds_a_week

    made = [key.to_user_string() for key in chosen(names)]
    runs, seconds = len(runs_of(names, weeks)), seconds_a_week(instance, made)
    about = None if seconds is None else seconds * len(weeks)
    missing = missing_inputs(store, names, weeks)
    if as_json:
        plan = {"assets": made, "runs": runs, "seconds": about, "missing": missing, "dry_run": True}
        return print_json({**report, **plan})
    if not weeks:
        return typer.echo(f"nothing to do: every closed week has {', '.join(names)}")
    how_long = "nobody knows how long" if about is None else f"about {duration(about)}"
    typer.echo(f"would make {', '.join(made)}")
    typer.echo(f"weeks: {len(weeks)}, from {weeks[0]} to {weeks[-1]}; runs: {runs}; {how_long}")
    for asset, without in missing.items():
        typer.echo(is_missing(asset, without))


def cancel_backfill(backfill_id: str, as_json: bool) -> None:
    """Have the daemon end that backfill and its runs; what they have made stays."""
    from rlhf_assets.defs.automation.launch import cancel

    with open_instance() as instance:
        cancel(instance, backfill_id)
    if as_json:
        return print_json({"backfill": backfill_id, "canceling": True})
    typer.echo(f"backfill {backfill_id} is being canceled; what it has made stays")


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
