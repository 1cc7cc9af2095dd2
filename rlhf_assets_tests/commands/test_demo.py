from pathlib import Path

import pytest

from rlhf_assets.commands.demo import finished, why
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.card import Status

WEEK = "2026-11-15"


@pytest.mark.parametrize(
    ("stage", "asset", "status", "expected"),
    [
        ("reward model", "reward_model", "accepted", True),
        ("reward model", "reward_model", "rejected", False),
        ("ppo", "ppo_policy", "candidate", True),
        ("promotion", "promotion", "rejected", True),
        ("promotion", "promotion", "experiment", False),
    ],
)
def test_a_refused_model_is_trained_again_and_a_verdict_stands(
    stage: str, asset: str, status: Status, expected: bool, tmp_path: Path
):
    store = ArtifactStore(str(tmp_path))
    assert not finished(store, stage, [WEEK])
    with store.draft(asset, WEEK, "run") as draft:
        draft.commit(status, reasons=["it learned nothing"])
    assert finished(store, stage, [WEEK]) is expected
    assert not finished(store, stage, ["2026-11-08", WEEK])
    assert why(store, asset, WEEK) == "it learned nothing"
