"""Notices a schedule or sensor that fails at every turn, as after a password was changed: no run tells of it."""

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from rlhf_assets.defs.automation.switched_on import OURS

IN_A_ROW = 20  # ticks: ten minutes of the recorder, as long as a database may well be away


def failing(instance: dg.DagsterInstance) -> dict[str, str]:
    """Those of ours whose last IN_A_ROW ticks, or tries at one tick, have all failed, each with the last reason."""
    if instance.schedule_storage is None:
        return {}
    found = {}
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
        last = next((tick for tick in ticks if tick.status is not TickStatus.STARTED), None)
        if (
            last
            and last.status is TickStatus.FAILURE
            and max(last.failure_count, last.consecutive_failure_count) >= IN_A_ROW
        ):
            found[state.instigator_name] = reason(last.error.message if last.error else "")
    return {name: found[name] for name in OURS if name in found}


def reason(message: str) -> str:
    """A tick's error in one line; Dagster puts the class before what was said."""
    lines = message.strip().splitlines() or ["unknown error"]
    return lines[0].removeprefix("dagster._core.definitions.events.Failure: ")
