"""How far a long loop is and how long it still takes, said through logging so that every front end can show it."""

import logging
import time

log = logging.getLogger(__name__)

QUIET_SECONDS = 2.0  # between two lines; a person reads no faster and Dagster stores each one


class Progress:
    """Counts the steps of one stage: `Progress("ppo", 8)`, then `step("score 0.61")` after each.

    `before`: steps that an earlier run has done, which tell nothing of the time that is left.
    """

    def __init__(self, stage: str, total: int, before: int = 0) -> None:
        self.stage, self.total, self.done, self.before = stage, total, before, before
        self.started = time.monotonic()
        self.said = -QUIET_SECONDS

    def step(self, detail: str = "") -> None:
        """Count one step; logs `stage 3/8 · detail · 4 min left`, seldom enough to be read."""
        self.done += 1
        now = time.monotonic()
        if now - self.said < QUIET_SECONDS and self.done < self.total:
            return
        self.said = now
        left = (now - self.started) / (self.done - self.before) * (self.total - self.done)
        parts = [f"{self.stage} {self.done}/{self.total}", detail, f"{duration(left)} left" if left else ""]
        log.info(" · ".join(part for part in parts if part))


def duration(seconds: float) -> str:
    """`40 s`, `4 min` or `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
