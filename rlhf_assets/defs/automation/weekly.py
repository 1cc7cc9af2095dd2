"""The weekly loop: every Sunday, one hour into the new week, the week that has just closed."""

import dagster as dg

weekly_rlhf = dg.define_asset_job(
    "weekly_rlhf",
    dg.AssetSelection.all() - dg.AssetSelection.assets("ppo_estimate"),
    description="From the week's feedback to a promoted or refused policy.",
)

# a plain schedule would ask for no partition; this one asks for the last closed week
weekly_schedule = dg.build_schedule_from_partitioned_job(
    weekly_rlhf,
    name="weekly_rlhf_schedule",
    hour_of_day=1,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
