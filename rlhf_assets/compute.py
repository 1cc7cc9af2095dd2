"""Which device a model runs on and in which precision."""

import re
import resource
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_assets.errors import RlhfError

if TYPE_CHECKING:
    import torch

FASTER = 1.2  # bf16 must beat fp32 by this factor to be worth its lost digits


@dataclass(frozen=True)
class Compute:
    """A device ("cpu", "cuda", "mps") and the precision of its matrix products ("fp32", "bf16"); weights stay fp32."""

    device: str
    precision: str


def out_of_memory(error: Exception) -> RlhfError | None:
    """What to do about it, if the error is of a GPU or machine without memory left; torch, which has its own for
    either, may be far."""
    lacking = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not lacking and not re.search("can(?:no|')t allocate memory", str(error), re.IGNORECASE):
        return None
    return RlhfError(
        "there is too little memory; lower micro_batch_size and batch_size, which change no result, choose a "
        "smaller base model, or stop what else runs on this machine"
    )


def choose_compute(device: str = "auto", precision: str = "auto") -> Compute:
    """Resolve "auto": the best device there is, and bf16 only where a short trial on it is faster.

    Raises RlhfError when the named device is not there.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if there[name])
    elif not there.get(device):
        raise RlhfError(
            f"device {device!r} is not available here; choose auto or one of {[d for d in there if there[d]]}"
        )
    if precision == "auto":
        precision = "bf16" if bf16_is_fast(device) else "fp32"
    return Compute(device, precision)


def bf16_is_fast(device: str) -> bool:
    """Time one layer-sized product in both precisions (a tenth of a second)."""
    import torch

    def seconds(dtype: "torch.dtype") -> float:
        left = torch.randn(1024, 576, device=device, dtype=dtype)
        right = torch.randn(576, 1536, device=device, dtype=dtype)
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            (left @ right).sum().item()
            best = min(best, time.perf_counter() - start)
        return best

    try:
        return seconds(torch.float32) > FASTER * seconds(torch.bfloat16)
    except RuntimeError:  # a device without bf16
        return False


def peak_memory_mb() -> float:
    """Of this process so far. Not `ru_maxrss` on Linux, which starts at what the process held that started this one."""
    if not (proc := Path("/proc/self/status")).exists():  # macOS, where it counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    status = proc.read_text(encoding="utf-8").splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def autocast(compute: Compute) -> AbstractContextManager[object]:
    """Matrix products in bf16 inside, where the compute says so."""
    import torch

    if compute.precision == "bf16":
        return torch.autocast(compute.device, torch.bfloat16)
    return nullcontext()
