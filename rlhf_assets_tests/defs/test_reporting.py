from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from rlhf_assets.defs.reporting import mendable
from rlhf_assets_tests.full_disk import disk_for

TOO_MUCH = 2**50  # bytes


def test_too_little_memory_is_one_line_that_says_what_to_lower() -> None:
    with pytest.raises(dg.Failure) as failed, mendable():
        torch.empty(TOO_MUCH, dtype=torch.uint8)
    assert str(failed.value.description).startswith("there is too little memory; lower micro_batch_size and batch_size")
    assert not failed.value.allow_retries
    with pytest.raises(dg.Failure, match="too little memory"), mendable():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_too_little_memory_is_told_of_what_is_not_torch_too() -> None:
    with pytest.raises(dg.Failure, match="too little memory"), mendable():
        bytearray(TOO_MUCH)


def write_text(folder: Path) -> None:
    (folder / "report.html").write_text("a" * 10_000)


def write_frame(folder: Path) -> None:
    pd.DataFrame({"number": range(10_000)}).to_parquet(folder / "rows.parquet")


def write_weights(folder: Path) -> None:
    save_file({"weights": torch.rand(10_000)}, folder / "model.safetensors")


@pytest.mark.parametrize("write", [write_text, write_frame, write_weights])
def test_a_full_disk_is_one_line_and_not_tried_again(write: Callable[[Path], None], tmp_path: Path) -> None:
    with disk_for(1000), pytest.raises(dg.Failure, match="the disk is full") as failed, mendable(allow_retries=False):
        write(tmp_path)
    assert "\n" not in str(failed.value.description)
    assert not failed.value.allow_retries


def test_a_full_disk_is_known_by_its_own_number_too() -> None:
    with pytest.raises(dg.Failure, match="the disk is full"), mendable():
        Path("/dev/full").write_text("a")


def test_any_other_error_is_a_bug_and_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), mendable():
        raise RuntimeError("size mismatch")
    with pytest.raises(FileNotFoundError), mendable():
        Path("/nowhere").read_text()
