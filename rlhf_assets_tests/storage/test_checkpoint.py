"""What is kept of a training comes back as it was, or not at all."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.checkpoint import drop, keep, kept
from rlhf_assets_tests.full_disk import disk_for

STATE: dict[str, Any] = {"weights": {"one": torch.rand(20, 30)}, "done": 3, "history": [{"validation_loss": None}]}


def test_a_full_disk_is_told_in_one_line_and_what_stood_there_stays(tmp_path: Path) -> None:
    keep(tmp_path / "week.pt", "this", STATE)
    larger = STATE | {"weights": {"one": torch.rand(1000, 300)}}
    with disk_for(100_000), pytest.raises(RlhfError, match="is the disk full") as caught:
        keep(tmp_path / "week.pt", "this", larger)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["week.pt"]
    found = kept(tmp_path / "week.pt", "this")
    assert found
    assert torch.equal(found["weights"]["one"], STATE["weights"]["one"])


def test_what_killed_trainings_were_writing_is_dropped_too(tmp_path: Path) -> None:
    for name in ("week.pt", "week.pt.123", "other.pt"):
        (tmp_path / name).touch()
    drop(tmp_path / "week.pt")
    drop(tmp_path / "week.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]


def test_a_changed_byte_is_seen_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tmp_path / "week.pt", "this", STATE)
    found = kept(tmp_path / "week.pt", "this")
    assert found
    assert torch.equal(found["weights"]["one"], STATE["weights"]["one"])
    assert (found["done"], found["history"]) == (3, [{"validation_loss": None}])
    assert [path.name for path in tmp_path.iterdir()] == ["week.pt"]
    whole = (tmp_path / "week.pt").read_bytes()
    of_weights = whole.index(STATE["weights"]["one"].numpy().tobytes())
    for place in (of_weights, of_weights + 2000):
        (tmp_path / "week.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert kept(tmp_path / "week.pt", "this") is None
    for length in (len(whole) - 1, len(whole) // 2, 0):
        (tmp_path / "week.pt").write_bytes(whole[:length])
        assert kept(tmp_path / "week.pt", "this") is None
    assert caplog.text.count("week.pt is damaged; the training starts anew") == 5


def test_another_training_is_not_gone_on_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tmp_path / "week.pt", "this", STATE)
    assert kept(tmp_path / "last week.pt", "this") is None
    assert caplog.text == ""
    assert kept(tmp_path / "week.pt", "that") is None
    assert "week.pt is of other data, models, settings, versions or precision" in caplog.text
