"""Cards, pointers and commands that would lead out of the artifacts' root are refused in one line."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import CARD, Artifact, ArtifactStore
from rlhf_assets.storage.promotions import POINTER, decide, in_use
from rlhf_assets_tests.commands.runner import rlhf
from rlhf_assets_tests.storage.test_promotions import judged

WEEK = "2026-03-01"
OUT = [
    "..",
    "../outside",
    "reward_model/../../outside",
    "/etc",
    "a/../../..",
    "file:///etc",
    "memory://x",
    "",
    "a\0b",
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artifacts' root, beside which something lies that is nobody's business."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("a stranger's")
    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RLHF_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return ArtifactStore(str(root))


@pytest.fixture
def made(store: ArtifactStore) -> Artifact:
    with store.draft("reward_model", WEEK, "run") as draft:
        (draft.folder / "text.txt").write_text("ours")
        return draft.commit()


def refused(act: Callable[[], Any], why: str = "leads out of") -> None:
    with pytest.raises(RlhfError, match=why) as caught:
        act()
    assert "\n" not in str(caught.value)


def card_with(artifact: Artifact, **values: object) -> None:
    """Write the artifact's card with these values, as somebody with access to the store might."""
    file = artifact.folder / CARD
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("path", OUT)
def test_no_path_leads_out(store: ArtifactStore, made: Artifact, path: str) -> None:
    assert store.open(made.relative_path).card == made.card
    refused(lambda: store.open(path))
    refused(lambda: store.weeks(path))
    refused(lambda: store.of_week(path, WEEK))


@pytest.mark.parametrize("path", OUT)
def test_no_card_leads_out(store: ArtifactStore, made: Artifact, path: str) -> None:
    parent = {"asset": "reward_dataset", "week": WEEK, "content_hash": "0"}
    card_with(made, parents=[{**parent, "path": "reward_dataset/week/run"}], files={"inner/text.txt": "0"})
    assert store.open(made.relative_path).card.parents
    for value in (
        {"files": {path: "0"}},
        {"parents": [{**parent, "path": path}]},
        {"run_id": path},
        {"week": path},
        {"asset": path},
        {"content_hash": path or "../x"},
    ):
        before = (made.folder / CARD).read_text()
        card_with(made, **value)
        refused(lambda: store.open(made.relative_path), "is no card: ")
        (made.folder / CARD).write_text(before)


def test_a_download_writes_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    store = ArtifactStore("memory://hostile/artifacts")
    with store.draft("reward_model", WEEK, "run") as draft:
        (draft.folder / "text.txt").write_text("theirs")
        made = draft.commit()
    card_with(made, files={"../../../escaped.txt": made.card.files["text.txt"]})
    refused(lambda: store.open(made.relative_path).local(), "is no card: ")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_the_pointer_leads_to_artifacts_only(store: ArtifactStore) -> None:
    policy = judged(store, WEEK, "promoted")
    for told in (json.dumps({"week": WEEK, "path": "../outside"}), "{}", "not JSON"):
        (store.root / POINTER).write_text(told)
        refused(lambda: in_use(store), "names no policy .*writes it anew")
    decide(store, WEEK, "demoted", "ann", "the pointer was damaged")
    decide(store, WEEK, "promoted", "ann", "the pointer is whole again")
    used = in_use(store)
    assert used
    assert used.folder == policy.folder


def test_links_do_not_lead_out(store: ArtifactStore, made: Artifact, root: Path) -> None:
    outside = root.parent / "outside"
    (outside / "text.txt").symlink_to(outside / "secret.txt")
    (outside / CARD).write_text((made.folder / CARD).read_text())
    (root / "reward_model" / WEEK / "linked").symlink_to(outside)
    refused(lambda: store.open(f"reward_model/{WEEK}/linked"), "by a link; let RLHF_ARTIFACTS name the folder")
    (root / "reward_model" / WEEK / "linked").unlink()
    Path(made.path("text.txt").path).unlink()
    Path((made.folder / "text.txt").path).symlink_to(outside / "secret.txt")
    refused(lambda: made.path("text.txt"))


def test_a_root_that_is_a_link_itself_is_one(root: Path, made: Artifact) -> None:
    root.rename(root.parent / "other disk")
    root.symlink_to(root.parent / "other disk")
    store = ArtifactStore(str(root))
    assert store.open(made.relative_path).path("text.txt").read_text() == "ours"
    with store.draft("reward_model", WEEK, "run") as draft:
        draft.commit()
    assert len(store.of_week("reward_model", WEEK)) == 2


def test_leftovers_are_removed_of_artifacts_only(store: ArtifactStore, root: Path) -> None:
    long_ago = time.time() - 1e6
    ours = root / "reward_model" / WEEK / "killed"
    theirs = root / "photos" / "2025 in Rome" / "first day"
    linked = root.parent / "outside" / WEEK / "work"
    for folder in (ours, theirs, linked):
        folder.mkdir(parents=True)
        os.utime(folder, (long_ago, long_ago))
    (root / "linked").symlink_to(root.parent / "outside")
    store.remove_leftovers()
    assert [folder.exists() for folder in (ours, theirs, linked)] == [False, True, True]


@pytest.mark.usefixtures("root")
def test_no_command_leads_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for attempt in (
        ("backfill", "--assets", "../../outside", "--dry-run"),
        ("audit", "--week", "../../outside"),
        ("demote", "--week", "../outside", "--reason", "x"),
        ("export", "--promoted", tmp_path / "outside"),
    ):
        result = rlhf(*attempt)
        assert result.exit_code in (1, 2)
        assert "Traceback" not in result.stderr
    assert [file.name for file in (tmp_path / "outside").iterdir()] == ["secret.txt"]
    assert not (tmp_path / "artifacts").exists()
