"""instance, store: a Dagster, an artifact store of a test's own. world, workspace: a deployment for each module."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.conftest import made
from rlhf_assets_tests.defs.feedback import write_feedback
from rlhf_assets_tests.defs.world import SETTINGS, WEEKS, World, environment, freshly_loaded


@pytest.fixture
def instance(settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A Dagster of its own, and an empty artifact store."""
    monkeypatch.setenv("RLHF_ARTIFACTS", str(tmp_path / "artifacts"))
    with instance_for_test() as instance:
        yield instance


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture(scope="module")
def votes_a_week() -> Sequence[int]:
    """Of WEEKS; a module may ask for others."""
    return [250] * len(WEEKS)


@pytest.fixture(scope="module")
def own_settings() -> str:
    """The project's own settings, as its file says them; a module may ask for others."""
    return SETTINGS


@pytest.fixture(scope="module")
def launching() -> Mapping[str, Any]:
    """How runs are launched, as dagster.yaml says it: at once; a module may ask for the queue."""
    return {"run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}}


@pytest.fixture(scope="module")
def world(
    server: Path,
    migrated: str,
    tmp_path_factory: pytest.TempPathFactory,
    votes_a_week: Sequence[int],
    own_settings: str,
    launching: Mapping[str, Any],
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with made(server, f"template {migrated}") as app, made(server) as dagster_name:
        admin_url = embedded_postgres.url(server, app)
        app_url = admin_url.replace("//postgres@", "//rlhf_pipeline@")
        dagster_url = embedded_postgres.url(server, dagster_name).replace("://", "+psycopg2://")
        with psycopg.connect(admin_url) as connection:
            write_feedback(connection, dict(zip(WEEKS, votes_a_week, strict=True)))
        overrides = {"storage": {"postgres": {"postgres_url": dagster_url}}, **launching}
        with (
            freshly_loaded(environment(folder, app_url, admin_url, own_settings)),
            instance_for_test(overrides=overrides, temp_dir=str(folder)) as instance,
        ):
            yield World(instance, ArtifactStore(str(folder / "artifacts")), app_url, admin_url)


@pytest.fixture(scope="module")
def workspace(world: World) -> Iterator[WorkspaceProcessContext]:
    """What webserver and daemon hold: the instance and a code server, which runs what they launch."""
    location = world.module("automation.launch").LOCATION
    target = ModuleTarget("rlhf_assets.definitions", None, None, location)
    with WorkspaceProcessContext(world.instance, target) as workspace:
        yield workspace
