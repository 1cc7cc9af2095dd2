import pytest
import torch

from rlhf_assets.compute import Compute, autocast, choose_compute
from rlhf_assets.errors import RlhfError


def test_what_is_named_is_taken() -> None:
    assert choose_compute("cpu", "fp32") == Compute("cpu", "fp32")
    assert choose_compute("cpu", "bf16") == Compute("cpu", "bf16")


def test_auto_takes_the_best_device_that_works() -> None:
    found = choose_compute()
    assert torch.zeros(1, device=found.device).device.type == found.device
    assert (found.device == "cpu") == (not torch.cuda.is_available() and not torch.backends.mps.is_available())
    assert found.precision in ("fp32", "bf16")


@pytest.mark.parametrize("device", ["abacus", "cuda", "mps"])
def test_a_device_that_is_not_here_says_what_is(device: str) -> None:
    if device == choose_compute().device:
        pytest.skip(f"{device} is here")
    with pytest.raises(RlhfError, match=f"'{device}' is not available here; choose auto or one of .*'cpu'"):
        choose_compute(device)


def test_products_inside_are_in_the_precision_named() -> None:
    square = torch.eye(4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(Compute("cpu", precision)):
            assert (square @ square).dtype == dtype
    assert (square @ square).dtype == torch.float32
