"""`rlhf promote` and `rlhf demote`: a person decides which policy is in use, and says why."""

import getpass
import logging
from typing import Annotated, Literal

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.commands.weeks import week_option
from rlhf_assets.errors import RlhfError

log = logging.getLogger(__name__)

Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever asks later.")]


def promote(
    week: Annotated[str, week_option("--week", "Week of the policy, by the date of its Sunday.")],
    reason: Reason,
    over_gate: Annotated[
        bool, typer.Option("--over-gate", help="Also where the gate refused it; its reasons are kept beside yours.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Promote the policy of a week: one that waits for approval, was demoted, or was refused (--over-gate).

    A later week's promoted policy stays in use. The decision is kept as a card of `promotion`, with who and why, and
    shows in the UI and in rlhf_training_runs.

    \b
    Example:  rlhf promote --week 2026-11-15 --reason "read fifty answers, all fine"
    """
    decide_and_tell(week, "promoted", reason, over_gate, as_json)


def demote(
    reason: Reason,
    week: Annotated[str | None, week_option("--week", "Week of the policy; default: of the one in use.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a policy out of use; the one promoted before it is in use again, or none.

    Without --week it is the policy in use. The next week's policy is compared with the one in use then.

    \b
    Example:  rlhf demote --reason "answers about visas are wrong"
    """
    decide_and_tell(week, "demoted", reason, False, as_json)


def decide_and_tell(
    week: str | None, status: Literal["promoted", "demoted"], reason: str, over_gate: bool, as_json: bool
) -> None:
    """Decide, record, and say which policy is in use afterwards."""
    from rlhf_assets.defs.evaluation.decision import tell
    from rlhf_assets.storage.artifacts import ArtifactStore
    from rlhf_assets.storage.home import artifact_root
    from rlhf_assets.storage.promotions import decide, in_use

    if not reason.strip():
        raise typer.BadParameter("say why: --reason TEXT")
    store = ArtifactStore(artifact_root())
    if week is None and (used := in_use(store)):
        week = used.card.week
    if week is None:
        raise RlhfError("no policy is in use; name one with --week")
    with open_instance() as instance:
        decision = decide(store, week, status, getpass.getuser(), reason, over_gate)
        try:
            tell(instance, store, decision)
        except RlhfError as error:
            log.warning("decided, but rlhf_training_runs does not say so yet: %s", error)
    used = in_use(store)
    if as_json:
        print_json({"week": decision.card.week, "status": status, "in_use": used.card.week if used else None})
        return
    typer.echo(f"policy of week {decision.card.week} {status}")
    typer.echo(f"in use now: the policy of week {used.card.week}" if used else "no policy is in use now")
