"""Notices a schedule or sensor that somebody switched off in the UI, which then overrides the code for ever."""

import dagster as dg

OURS = ("weekly_rlhf_schedule", "training_run_recorder", "changed_feedback", "alerts")


def switched_off(instance: dg.DagsterInstance) -> list[str]:
    """The names of ours that do not run though the code says so; an instance in memory schedules nothing."""
    if instance.schedule_storage is None:
        return []
    stopped = {state.instigator_name for state in instance.all_instigator_state() if not state.is_running}
    return [name for name in OURS if name in stopped]


# of the asset that every week begins with: the check of one that was refused or skipped would not be made
@dg.asset_check(asset="raw_message_feedback", description="The weekly schedule and all sensors are switched on.")
def switched_on(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    off = switched_off(context.instance)
    said = {"looked at": ", ".join(OURS), "switched off": ", ".join(off) or "none"}
    mend = {"mend": "switch them on in the UI, under Automation"} if off else {}
    return dg.AssetCheckResult(passed=not off, severity=dg.AssetCheckSeverity.WARN, metadata={**said, **mend})
