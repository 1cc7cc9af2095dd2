"""Base of every settings class: one typed place for each knob, its unit and the reason for its default.

The project's own settings are the classes' defaults, changed by the TOML file that RLHF_SETTINGS names: one table a
class, `[RewardSettings]`. A run with other settings than the project's own is an experiment.
"""

import os
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rlhf_assets.errors import RlhfError


class Settings(BaseModel):
    """Frozen and strict, so that a misspelt knob is an error and a card's settings are what ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)


def project_settings(kind: type[S]) -> S:
    """The project's own settings of that kind. Raises RlhfError when the file is missing or holds a wrong value."""
    if not (name := os.environ.get("RLHF_SETTINGS")):
        return kind()
    try:
        with Path(name).open("rb") as file:
            tables = tomllib.load(file)
        if unknown := sorted(tables.keys() - (known := sections())):
            there = ", ".join(sorted(known))
            raise RlhfError(f"RLHF_SETTINGS: {name} [{unknown[0]}]: there is no such table; there are {there}")
        return kind(**tables.get(kind.__name__, {}))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RlhfError(f"RLHF_SETTINGS: cannot read {name}: {error}") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        knob = ".".join(str(part) for part in wrong["loc"])
        raise RlhfError(f"RLHF_SETTINGS: {name} [{kind.__name__}] {knob}: {wrong['msg']}") from None


def sections() -> set[str]:
    """The tables that such a file may have."""
    from rlhf_assets.feedback import settings as feedback
    from rlhf_assets.policy import settings as policy
    from rlhf_assets.reward import settings as reward
    from rlhf_assets.storage import settings as storage

    known = (value for module in (feedback, reward, policy, storage) for value in vars(module).values())
    return {one.__name__ for one in known if isinstance(one, type) and issubclass(one, Settings)} - {"Settings"}
