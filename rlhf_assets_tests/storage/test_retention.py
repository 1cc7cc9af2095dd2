"""What may go of artifacts laid out by hand, a year old unless a test says otherwise."""

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.card import Status
from rlhf_assets.storage.retention import leftovers, remove
from rlhf_assets.storage.settings import RetentionSettings

NEWEST = "2026-03-29"
SETTINGS = RetentionSettings(model_weeks=2)
LONG_AFTER = datetime.now(UTC) + timedelta(days=365)


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    return ArtifactStore(str(tmp_path / "root") if request.param == "folder" else f"memory://{uuid.uuid4()}/root")


def lay(store: ArtifactStore, asset: str, ago: int = 0, status: Status = "accepted", *parents: Artifact) -> Artifact:
    """An artifact of the week so many weeks before the newest."""
    with store.draft(asset, earlier(NEWEST, ago), str(uuid.uuid4())) as draft:
        (draft.folder / "file").write_text("12345")
        return draft.commit(status, parents=parents)


def gone(store: ArtifactStore, now: datetime = LONG_AFTER) -> set[str]:
    return {leftover.path.name for leftover in leftovers(store, SETTINGS, now)}


def test_what_is_in_use_stays_and_what_was_replaced_goes(store: ArtifactStore) -> None:
    old_raw, raw = lay(store, "raw_message_feedback", 20), lay(store, "raw_message_feedback", 20)
    old_model, refused = lay(store, "reward_model"), lay(store, "reward_model", 0, "rejected")
    model, experiment = lay(store, "reward_model"), lay(store, "reward_model", 0, "experiment")
    candidate, long_ago = lay(store, "ppo_policy", 1, "candidate"), lay(store, "ppo_policy", 2, "candidate")
    audit = lay(store, "feedback_audit", 20)
    assert gone(store) == {one.folder.name for one in (old_raw, old_model, refused, experiment, long_ago)}
    assert {made.folder.name for made in (raw, audit, model, candidate)}.isdisjoint(gone(store))
    assert gone(store, datetime.now(UTC)) == set()


def test_a_policy_once_promoted_stays_with_all_it_was_made_from(store: ArtifactStore) -> None:
    lay(store, "reward_model")
    data = lay(store, "reward_dataset", 30)
    lay(store, "reward_dataset", 30)  # replaced the first, long ago
    reward, sft = (lay(store, asset, 30, "accepted", data) for asset in ("reward_model", "sft_policy"))
    policy = lay(store, "ppo_policy", 30, "candidate", reward, sft)
    lay(store, "promotion", 30, "promoted", policy)
    lay(store, "promotion", 30, "demoted", policy)
    refused = lay(store, "ppo_policy", 29, "candidate")
    verdict = lay(store, "promotion", 29, "rejected", refused)
    assert {made.folder.name for made in (data, reward, sft, policy, verdict)}.isdisjoint(gone(store))
    assert refused.folder.name in gone(store)


def test_a_removed_artifact_is_gone_for_every_reader(store: ArtifactStore) -> None:
    lay(store, "reward_model")
    lay(store, "reward_model", 0, "rejected")
    (leftover,) = leftovers(store, SETTINGS, LONG_AFTER)
    assert (leftover.what, leftover.size > 5) == (f"rejected reward_model of week {NEWEST}", True)
    remove(leftover)
    assert not leftover.path.exists()
    assert [made.card.status for made in store.of_week("reward_model", NEWEST)] == ["accepted"]
    assert leftovers(store, SETTINGS, LONG_AFTER) == []


def test_an_unreadable_card_stops_it_before_anything_is_removed(store: ArtifactStore) -> None:
    lay(store, "reward_model")
    broken = lay(store, "ppo_policy", 0, "candidate").folder / "card.json"
    broken.write_text("{")
    with pytest.raises(RlhfError, match="is no card"):
        leftovers(store, SETTINGS, LONG_AFTER)


def test_checkpoints_left_behind_and_downloads_of_nothing_go(store: ArtifactStore, tmp_path: Path) -> None:
    model, home = lay(store, "reward_model"), tmp_path / "home"
    downloads = home / "downloads"
    for name in (model.card.content_hash, "of-nothing"):
        (downloads / name).mkdir(parents=True)
    checkpoints = home / "checkpoints" / "ppo_policy"
    checkpoints.mkdir(parents=True)
    for name, days in (("left.pt", 15), ("left.pt.4711", 15), ("under-way.pt", 13)):
        (checkpoints / name).write_text("state")
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(checkpoints / name, (then, then))
    assert gone(store, datetime.now(UTC)) == {"of-nothing", "left.pt", "left.pt.4711"}
