"""How long what the project keeps is kept."""

from pydantic import Field

from rlhf_assets.settings import Settings


class RetentionSettings(Settings):
    """What `rlhf gc` leaves. Policies that were ever promoted, and all that they were made from, stay for good."""

    artifact_days: int = Field(
        60,
        description="Age in days below which no artifact goes: two months, in which a refused model or an experiment "
        "is still looked at.",
        ge=1,
    )
    model_weeks: int = Field(
        12,
        description="Newest weeks whose datasets and models in use stay whatever their age: a quarter, over which "
        "drift is looked at.",
        ge=1,
    )
    checkpoint_days: int = Field(
        14,
        description="Age in days from which the checkpoint of a training that never ended goes: it would have been "
        "started again by the second Sunday.",
        ge=1,
    )
    run_days: int = Field(
        90,
        description="Age in days from which a run that made nothing goes from Dagster's tables: a quarter, as long as "
        "its failed ticks stay there. Runs that made something stay, and so do all rows of rlhf_training_runs.",
        ge=14,
    )
