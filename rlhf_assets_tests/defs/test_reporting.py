import dagster as dg
import pytest
import torch

from rlhf_assets.defs.reporting import mendable

TOO_MUCH = 2**50  # bytes


def test_too_little_memory_is_one_line_that_says_what_to_lower() -> None:
    with pytest.raises(dg.Failure) as failed, mendable():
        torch.empty(TOO_MUCH, dtype=torch.uint8)
    assert str(failed.value.description).startswith("there is too little memory; lower micro_batch_size and batch_size")
    assert not failed.value.allow_retries
    with pytest.raises(dg.Failure, match="too little memory"), mendable():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_any_other_error_is_a_bug_and_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), mendable():
        raise RuntimeError("size mismatch")
