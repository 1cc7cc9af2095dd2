"""How long the demo will take on this machine, and what to leave out where that is too long."""

import logging
import os
import time
from pathlib import Path

from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.policy.settings import PpoSettings

log = logging.getLogger(__name__)

BUDGET_MINUTES = 20
# Two cores whose products ran at 700 took so long for PPO and for all the rest; a tenth off for the trial's own noise.
REFERENCE_GFLOPS = 630.0
REFERENCE_PPO_MINUTES = 8.7
REFERENCE_OTHER_MINUTES = 10.1
FEWEST_UPDATES = 2


def fit_to_machine(settings_file: Path) -> None:
    """Where the demo would outlast its budget, point RLHF_SETTINGS at a file with fewer PPO updates, written here.

    A person's own RLHF_SETTINGS stands.
    """
    if os.environ.get("RLHF_SETTINGS"):
        return
    slower = REFERENCE_GFLOPS / gflops(choose_compute())
    minutes = slower * (REFERENCE_PPO_MINUTES + REFERENCE_OTHER_MINUTES)
    if minutes <= BUDGET_MINUTES:
        return
    whole = PpoSettings().updates
    left = (BUDGET_MINUTES / slower - REFERENCE_OTHER_MINUTES) / REFERENCE_PPO_MINUTES
    updates = max(FEWEST_UPDATES, int(whole * left))
    settings_file.write_text(f"[PpoSettings]\nupdates = {updates}\n")
    os.environ["RLHF_SETTINGS"] = str(settings_file)
    log.warning(
        "this machine is slow: PPO runs %d of %d updates, so that the demo takes about %.0f minutes instead of %.0f",
        updates,
        whole,
        slower * (REFERENCE_OTHER_MINUTES + REFERENCE_PPO_MINUTES * updates / whole),
        minutes,
    )


def gflops(compute: Compute) -> float:
    """Billions of multiply-adds, counted twice, a second, in products as large as a small policy's layers."""
    import torch

    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    left = torch.randn(2048, 576, device=compute.device, dtype=dtype)
    right = torch.randn(576, 1536, device=compute.device, dtype=dtype)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        (left @ right).sum().item()
        best = min(best, time.perf_counter() - start)
    return 2 * 2048 * 576 * 1536 / best / 1e9
