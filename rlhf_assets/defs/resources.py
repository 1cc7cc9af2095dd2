"""What assets need from outside: the assistant's database, the artifact store, a device, and gold where there is one.

All four are resolved when used, so that the code location loads without any of them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.defs.automation.orphans import note_process
from rlhf_assets.defs.end_with_run import ended_with_run
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import ArtifactStore

if TYPE_CHECKING:
    import psycopg


class Database(dg.ConfigurableResource):
    """The assistant's database. Its URL stays in the environment; a run's configuration would show it in the UI."""

    def connect(self, *, read_only: bool = False) -> "psycopg.Connection":
        """A connection as the pipeline role; RlhfError when there is none to be had."""
        from rlhf_assets.storage.database import connect, pipeline_url

        return connect(pipeline_url(), read_only=read_only)


class Artifacts(dg.ConfigurableResource):
    """Where artifacts are kept: `RLHF_ARTIFACTS`, else <home>/artifacts; no launchpad can move them."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Every step uses it, so that here its run says which process it is."""
        if context.run and context.instance:
            note_process(context.instance, context.run)

    @property
    def store(self) -> ArtifactStore:
        from rlhf_assets.storage.home import artifact_root

        return ArtifactStore(artifact_root())


class ComputeResource(dg.ConfigurableResource):
    """Where models run; a launchpad may choose otherwise for one run."""

    device: str = Field(default="auto", description="auto, cuda, mps or cpu")
    precision: str = Field(default="auto", description="auto (bf16 only where it is measured fast), fp32 or bf16")
    processes: int = Field(default=1, gt=0, description="how many train a model together, each on its own GPU")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> "Iterator[ComputeResource]":
        """Who computes ends with its run."""
        if context.run is None or context.instance is None:
            yield self
            return
        with ended_with_run(context.instance, context.run.run_id):
            yield self

    def choose(self) -> Compute:
        return choose_compute(self.device, self.precision)


class Gold(dg.ConfigurableResource):
    """The raters' true taste, which only a demo with simulated users knows; reported beside, asked by no gate.

    `RLHF_GOLD` names it, module:function of (query, response): a launchpad could name any code at all.
    """

    def load(self) -> Callable[[str, str], float] | None:
        """The function, None when there is no gold; RlhfError when it is named wrongly."""
        name = os.environ.get("RLHF_GOLD", "")
        if not name:
            return None
        module, _, function = name.partition(":")
        try:
            return getattr(import_module(module), function)
        except (ImportError, AttributeError, ValueError):
            raise RlhfError(f"RLHF_GOLD names {name!r}, which is no module:function that can be imported") from None


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "database": Database(),
            "artifacts": Artifacts(),
            "compute": ComputeResource.configure_at_launch(),
            "gold": Gold(),
        }
    )
