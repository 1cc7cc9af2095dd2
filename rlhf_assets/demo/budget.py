"""How long PPO may take for the demo to stay within its time, told by what the stages before took."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from rlhf_assets.policy.settings import PpoSettings

log = logging.getLogger(__name__)

BUDGET_MINUTES = 20
# minutes of two quiet cores, as README's figures
REFERENCE_MINUTES = {"feedback": 0.26, "datasets": 0.08, "reward model": 3.18, "judge": 1.68, "sft": 1.78}
# timed on a machine that took 1.6 times as long for all of these, and scaled
REFERENCE_START, REFERENCE_UPDATE, REFERENCE_REST = 0.85, 1.07, 3.3  # of PPO before its updates, of one, after PPO
FEWEST_UPDATES = 2


def fit_to_machine(settings_file: Path, minutes: Mapping[str, float]) -> None:
    """Where the demo would outlast its budget, point RLHF_SETTINGS at a file with fewer PPO updates, written here.

    minutes: what each stage before PPO took on this machine, as on the reference where nobody knows. A person's own
    RLHF_SETTINGS stands.
    """
    if os.environ.get("RLHF_SETTINGS"):
        return
    before = sum(minutes.get(stage, usual) for stage, usual in REFERENCE_MINUTES.items())
    whole = PpoSettings().updates
    slower = before / sum(REFERENCE_MINUTES.values())
    left = (BUDGET_MINUTES - before) / slower - REFERENCE_START - REFERENCE_REST
    updates = max(FEWEST_UPDATES, int(left / REFERENCE_UPDATE))
    if updates >= whole:
        return
    settings_file.write_text(f"[PpoSettings]\nupdates = {updates}\n")
    os.environ["RLHF_SETTINGS"] = str(settings_file)
    log.warning(
        "this machine is slow, %.1f minutes so far: PPO runs %d of %d updates, so that the demo takes about %d minutes",
        before,
        updates,
        whole,
        round(before + slower * (REFERENCE_START + REFERENCE_UPDATE * updates + REFERENCE_REST)),
    )
