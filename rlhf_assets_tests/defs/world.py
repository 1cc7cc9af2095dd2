"""The whole project as a small deployment: PostgreSQL, four weeks of feedback, tiny models as the project's own."""

import importlib
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon
from psycopg.rows import dict_row

from rlhf_assets.feedback.weeks import earlier, last_closed_week, weeks_between
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

LAST = last_closed_week()
WEEKS = weeks_between(earlier(LAST, 3), LAST)
PATIENCE = 900  # seconds; a busy machine takes its time

SETTINGS = """
[SplitSettings]
judge_share = 0.4
[RewardSettings]
base_model = "{encoder}"
epochs = 2
learning_rate = 5e-4
minimum_test_questions = 1
[SftSettings]
base_model = "{llama}"
epochs = 1
maximum_rows = 32
minimum_rows = 10
[PpoSettings]
updates = 1
prompts_per_update = 8
micro_batch_size = 8
calibration_prompts = 8
max_new_tokens = 8
overlong_tokens = 2
[GateSettings]
minimum_prompts = 1
[EvaluationSettings]
prompts = 10
max_new_tokens = 8
"""


@dataclass
class World:
    """What a test may ask of the deployment."""

    instance: dg.DagsterInstance
    store: ArtifactStore
    app_url: str
    admin_url: str

    def module(self, name: str) -> Any:
        """A module of `rlhf_assets.defs`, loaded under this deployment's environment."""
        return importlib.import_module(f"rlhf_assets.defs.{name}")

    def materialize(
        self,
        *keys: str,
        week: str = LAST,
        config: Mapping[str, Any] | None = None,
        compute: Mapping[str, str] | None = None,
    ) -> bool:
        """Run these assets in this process, with what a launchpad would hold for them and for the device."""
        form: dict[str, Any] = {"ops": {name: {"config": values} for name, values in (config or {}).items()}}
        if compute:
            form["resources"] = {"compute": {"config": compute}}
        return self.module("automation.launch").materialize_weeks(self.instance, keys, [week], form)

    def record(self) -> int:
        return self.module("training_runs.recorder").record_runs(self.instance)

    def rows(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """Recorded rows, those of one run or all of them."""
        with psycopg.connect(self.app_url, row_factory=dict_row) as connection:
            rows = connection.execute("select * from rlhf_training_runs order by start_time, model_type").fetchall()
        return [row for row in rows if run_id in (None, row["metrics"]["dagster_run_id"])]

    def last_run(self) -> dg.DagsterRun:
        return self.instance.get_runs(limit=1)[0]


def until_done(world: World, workspace: WorkspaceProcessContext, backfill: str) -> Any:
    """Let the daemon's own iteration work a backfill off, recorder ticks in between; the backfill's last status."""
    launch = world.module("automation.launch")
    deadline, queue = time.monotonic() + PATIENCE, QueuedRunCoordinatorDaemon(interval_seconds=1)
    while not (status := launch.backfill_status(world.instance, backfill)).done and time.monotonic() < deadline:
        list(execute_backfill_iteration(workspace, dg.get_dagster_logger()))
        if isinstance(world.instance.run_coordinator, QueuedRunCoordinator):
            list(queue.run_iteration(workspace))
        world.record()
        time.sleep(0.5)
    return status


def environment(folder: Path, app_url: str, admin_url: str, own_settings: str) -> dict[str, str]:
    """Everything that a process of the deployment finds in its environment; makes the tiny models."""
    settings = folder / "settings.toml"
    models = {"encoder": tiny_encoder(folder / "encoder"), "llama": tiny_llama(folder / "llama")}
    settings.write_text(own_settings.format(**models))
    return {
        "SUPABASE_DB_URL": app_url,
        "SUPABASE_ADMIN_DB_URL": admin_url,
        "RLHF_HOME": str(folder),
        "RLHF_ARTIFACTS": str(folder / "artifacts"),
        "RLHF_FIRST_WEEK": WEEKS[0],
        "RLHF_SETTINGS": str(settings),
        "RLHF_GOLD": "rlhf_assets.demo.taste:taste",
    }


@contextmanager
def freshly_loaded(values: Mapping[str, str]) -> Iterator[None]:
    """The code location as a new process would load it in that environment; as before afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        kept = forget()
        try:
            yield
        finally:
            forget()
            sys.modules.update(kept)
            for name, module in kept.items():  # a package knows its modules by attribute too
                parent, _, child = name.rpartition(".")
                setattr(sys.modules[parent], child, module)


def forget() -> dict[str, ModuleType]:
    """Unload the code location; returns its modules."""
    ours = [name for name in sys.modules if name.startswith(("rlhf_assets.defs", "rlhf_assets.definitions"))]
    return {name: sys.modules.pop(name) for name in ours}
