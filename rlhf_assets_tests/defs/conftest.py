"""A store of its own for every test that lays artifacts out by hand."""

from pathlib import Path

import pytest

from rlhf_assets.storage.artifacts import ArtifactStore


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))
