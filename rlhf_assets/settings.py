"""Base of every settings class: one typed place for each knob, its unit and the reason for its default."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen and strict, so that a misspelt knob is an error and a card's settings are what ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")
