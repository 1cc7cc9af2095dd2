"""The card of an artifact: what it is, what it was made from, and what may be done with it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rlhf_assets.storage.json_safe import json_safe
from rlhf_assets.storage.places import Below

Status = Literal["candidate", "accepted", "rejected", "promoted", "demoted", "experiment"]
FIT_FOR_USE: tuple[Status, ...] = ("accepted", "promoted")
IN_USE: tuple[Status, ...] = (*FIT_FOR_USE, "candidate")  # a policy stays one, its verdict is another artifact's


class Parent(BaseModel):
    """An artifact that another was made from."""

    asset: str
    week: str
    path: Below  # relative to the root, which may move
    content_hash: str


class Pointer(BaseModel):
    """The small file that names the policy in use."""

    week: str
    path: Below


class Erasure(BaseModel):
    """Rows that were taken out because somebody asked to be forgotten; who is not said."""

    at: datetime
    rows: int


class Card(BaseModel):
    """What an artifact is, what it was made from and how; `figures` and `counts` hold no user's text.

    Hashes of `files` are those of the files as they are; everything else is as it was made, also after an erasure.
    """

    model_config = ConfigDict(frozen=True)

    asset: Below
    week: Below
    run_id: Below
    status: Status
    created_at: datetime
    parents: list[Parent] = Field(default_factory=list)
    settings: dict[str, Any] = Field(default_factory=dict)
    seeds: dict[str, int] = Field(default_factory=dict)
    code_version: str = ""
    files: dict[Below, str] = Field(default_factory=dict)  # name -> sha256
    content_hash: str = Field("", pattern="^[0-9a-f]+$")  # names a folder of downloads
    counts: dict[str, int] = Field(default_factory=dict)
    figures: dict[str, Any] = Field(default_factory=dict)
    reasons: list[str] = Field(default_factory=list)  # why rejected, or who decided and why
    erased: list[Erasure] = Field(default_factory=list)

    @field_validator("settings", "seeds", "counts", "figures", mode="before")
    @classmethod
    def _json_safe(cls, value: Any) -> Any:
        return json_safe(value)
