"""Settings as launchpad forms: the project's own values stand as defaults, anything else makes an experiment."""

from typing import TypeVar

import dagster as dg

from rlhf_assets.settings import Settings, project_settings
from rlhf_assets.storage.artifacts import Artifact
from rlhf_assets.storage.card import Status

Form = TypeVar("Form", bound=dg.Config)
S = TypeVar("S", bound=Settings)


def launchpad_form(form: type[Form]) -> type[Form]:
    """Decorates `class XConfig(dg.Config, XSettings)`: its defaults become the project's own settings."""
    (kind,) = (base for base in form.__bases__ if issubclass(base, Settings))
    own = project_settings(kind)
    for name, field in form.model_fields.items():
        field.default = getattr(own, name)
    form.model_rebuild(force=True)
    return form


def settings_of(config: dg.Config, kind: type[S]) -> S:
    """The filled form as plain settings."""
    return kind(**config.model_dump())


def status_of(settings: Settings, *parents: Artifact) -> Status:
    """What an artifact made with these settings and from these parents may be at best."""
    own = settings == project_settings(type(settings))
    return "experiment" if not own or any(parent.card.status == "experiment" for parent in parents) else "accepted"
