import json
import os
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import CARD, LEFTOVER_SECONDS, Artifact, ArtifactStore
from rlhf_assets.storage.card import Status

WEEK = "2026-03-01"


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    return ArtifactStore(str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4()}/artifacts")


def make(
    store: ArtifactStore,
    asset: str = "reward_model",
    week: str = WEEK,
    run: str = "run-1",
    status: Status = "accepted",
    parents: tuple[Artifact, ...] = (),
) -> Artifact:
    with store.draft(asset, week, run) as draft:
        (draft.folder / "inner").mkdir()
        (draft.folder / "inner" / "text.txt").write_text(run)
        pd.DataFrame({"x": [1, 2]}).to_parquet(draft.folder / "rows.parquet")
        return draft.commit(status, parents=parents, counts={"rows": 2})


def test_files_come_back_as_they_were_written(store: ArtifactStore) -> None:
    made = make(store)
    found = store.open(made.relative_path)
    assert found.relative_path == f"reward_model/{WEEK}/run-1"
    assert found.card == made.card
    assert found.frame("rows.parquet")["x"].tolist() == [1, 2]
    assert (found.local() / "inner" / "text.txt").read_text() == "run-1"
    assert set(found.card.files) == {"inner/text.txt", "rows.parquet"}


def test_the_same_content_has_the_same_hash_and_other_content_another(store: ArtifactStore) -> None:
    first, again, other = make(store), make(store), make(store, run="run-2")
    assert first.card.content_hash == again.card.content_hash != other.card.content_hash


def test_a_failed_draft_leaves_nothing(store: ArtifactStore) -> None:
    folders: list[Path] = []

    def fail() -> None:
        with store.draft("reward_model", WEEK, "run-1") as draft:
            (draft.folder / "half.txt").write_text("half")
            folders.append(draft.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.newest("reward_model", WEEK) is None
    assert store.all("reward_model") == []
    assert not folders[0].exists()


def test_files_without_a_card_are_no_artifact(store: ArtifactStore) -> None:
    """As after a death between moving the files and writing the card."""
    make(store, run="run-1")
    dead = store.root / "reward_model" / WEEK / "run-2"
    dead.mkdir(parents=True)
    (dead / "rows.parquet").write_bytes(b"")
    found = store.newest("reward_model", WEEK)
    assert found is not None
    assert found.card.run_id == "run-1"
    with pytest.raises(RlhfError, match="no artifact"):
        store.open(f"reward_model/{WEEK}/run-2")


def test_a_second_attempt_of_a_run_overwrites_nothing(store: ArtifactStore) -> None:
    make(store)
    assert make(store).relative_path.endswith("/run-1-2")
    assert len(store.of_week("reward_model", WEEK)) == 2


def test_newest_means_newest_with_a_fitting_status(store: ArtifactStore) -> None:
    make(store, run="good")
    make(store, run="refused", status="rejected")
    make(store, run="trial", status="experiment")
    make(store, run="maybe", status="candidate")
    found = store.newest("reward_model", WEEK)
    assert found is not None
    assert found.card.run_id == "good"
    trial = store.of_run("reward_model", WEEK, "trial")
    assert trial is not None
    assert trial.card.status == "experiment"


def test_newest_before_is_of_an_earlier_week_that_has_one(store: ArtifactStore) -> None:
    first, second, third = "2026-02-15", "2026-02-22", WEEK
    old = make(store, week=first)
    make(store, week=second, status="rejected")
    make(store, week=third)
    for week in (third, second):
        found = store.newest_before("reward_model", week)
        assert found is not None
        assert found.relative_path == old.relative_path
    assert store.newest_before("reward_model", first) is None
    refused = store.newest_before("reward_model", third, ("rejected",))
    assert refused is not None
    assert refused.card.week == second


def test_a_missing_week_is_named_with_its_command(store: ArtifactStore) -> None:
    make(store, "raw_message_feedback", "2026-03-08")
    with pytest.raises(RlhfError, match=r"rlhf backfill --from 2026-03-01 --to 2026-03-15"):
        store.require_weeks("raw_message_feedback", ["2026-03-01", "2026-03-08", "2026-03-15"])
    with pytest.raises(RlhfError, match="rlhf backfill --assets reward_model"):
        store.require("reward_model", WEEK)


def test_parents_are_named_by_path_and_content(store: ArtifactStore) -> None:
    parent = make(store, "reward_dataset")
    child = make(store, parents=(parent,))
    (named,) = store.open(child.relative_path).card.parents
    assert store.open(named.path).card.content_hash == named.content_hash == parent.card.content_hash


def test_a_card_with_nan_and_numpy_is_json(store: ArtifactStore) -> None:
    with store.draft("reward_model", WEEK, "run-1") as draft:
        made = draft.commit(
            settings={"rate": np.float32(0.5)},
            counts={"rows": 3},
            figures={"mse": float("nan"), "history": [np.float64("inf"), np.float64(1)], "table": np.arange(2)},
        )
    text = (made.folder / "card.json").read_text()
    card = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert card["figures"] == {"mse": None, "history": [None, 1.0], "table": [0, 1]}
    assert (card["counts"], card["settings"]) == ({"rows": 3}, {"rate": 0.5})


def test_a_download_is_kept_in_the_home_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLHF_HOME", str(tmp_path))
    local = make(ArtifactStore(f"memory://{uuid.uuid4()}/artifacts")).local()
    assert local.parent == tmp_path / "downloads"
    assert local.parent.stat().st_mode & 0o777 == 0o700


def test_a_download_that_was_tampered_with_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLHF_HOME", str(tmp_path))
    store = ArtifactStore(f"memory://{uuid.uuid4()}/artifacts")
    made = make(store, run=str(uuid.uuid4()))
    (made.folder / "inner" / "text.txt").write_text("other")
    with pytest.raises(RlhfError, match="not what its card says"):
        made.local()


def test_what_killed_runs_left_goes_after_days_and_nothing_else_does(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    made = Path(make(store).folder.path)
    left = {name: (tmp_path / name).parent for name in ("reward_model/2026-03-01/run-2/a", ".drafts/old/content/a")}
    for name, folder in left.items():
        folder.mkdir(parents=True)
        (tmp_path / name).touch()
    old = [folder if folder.name == "run-2" else folder.parent for folder in left.values()]
    store.remove_leftovers()
    assert all(folder.exists() for folder in old), "somebody may still be at work there"
    long_ago = time.time() - LEFTOVER_SECONDS - 1
    for folder in (*old, made):
        os.utime(folder, (long_ago, long_ago))
    store.remove_leftovers()
    assert not any(folder.exists() for folder in old)
    assert (made / CARD).exists()


def test_a_store_elsewhere_is_asked_each_time_what_it_holds() -> None:
    """Its file system is shared by all of a process, and would keep its first answer for ever."""
    assert not ArtifactStore(f"memory://{uuid.uuid4()}/artifacts").root.fs.dircache.use_listings_cache
