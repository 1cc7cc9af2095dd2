"""Notices a schedule or sensor that somebody switched off in the UI, which then overrides the code for ever."""

import dagster as dg

OURS = ("weekly_rlhf_schedule", "training_run_recorder", "changed_feedback", "alerts")


def switched_off(instance: dg.DagsterInstance) -> list[str]:
    """The names of ours that do not run though the code says so."""
    stopped = {state.instigator_name for state in instance.all_instigator_state() if not state.is_running}
    return [name for name in OURS if name in stopped]


@dg.asset_check(asset="promotion", description="The weekly schedule and all sensors are switched on.")
def switched_on(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    off = switched_off(context.instance)
    said = {"switched off": ", ".join(off), "mend": "switch them on in the UI, under Automation"} if off else {}
    return dg.AssetCheckResult(passed=not off, severity=dg.AssetCheckSeverity.WARN, metadata=said)
