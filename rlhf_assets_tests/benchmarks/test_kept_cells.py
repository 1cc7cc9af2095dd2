"""What is finished is read, and made again only where it rests on something else."""

from pathlib import Path

import pytest

from benchmarks.kept_cells import cell, folder


def test_a_finished_cell_is_read_and_not_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"value": len(made)}

    file, rests_on = tmp_path / "kept" / "seed-0.json", {"seed": 0, "range": (1, 2)}
    assert cell(file, rests_on, make)["value"] == 1
    assert cell(file, rests_on, make)["value"] == 1
    assert cell(file, rests_on | {"seed": 1}, make)["value"] == 2
    assert cell(file, rests_on, make)["value"] == 1
    assert len(list(file.parent.glob("seed-0-*.json"))) == len(list(file.parent.iterdir())) == 2


def test_a_folder_that_was_stopped_is_made_anew(tmp_path: Path) -> None:
    def stopped(new: Path) -> None:
        (new / "half").touch()
        raise KeyboardInterrupt

    def whole(new: Path) -> None:
        assert not (new / "half").exists()
        (new / "whole").touch()

    with pytest.raises(KeyboardInterrupt):
        folder(tmp_path / "model", stopped)
    assert not (tmp_path / "model").exists()
    assert (folder(tmp_path / "model", whole) / "whole").exists()
    assert folder(tmp_path / "model", stopped) == tmp_path / "model"
