"""One stage of the week's work, killed again and again: what a reader sees then, and what the next attempt makes."""

import logging
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from faults.attempts import PATIENCE, AfterSeconds, AtFile, Ended, Moment, attempt, nothing
from faults.deployment import Deployment
from faults.stages import (
    GONE_ON,
    Stage,
    checkpoint_files,
    checkpoint_stands,
    compared,
    drafts,
    folders,
    half_written,
    held_open,
    result,
)
from rlhf_assets.storage.artifacts import CARD, DRAFTS, LEFTOVER_SECONDS

log = logging.getLogger(__name__)

CHECKPOINT = AtFile("os.rename", r"\.pt\.\d+", nth=2)  # the second is written, the first one still stands
TRAINING = replace(CHECKPOINT, nth=1, delay=0.1)  # some time after one of them
ARTIFACT = AtFile("os.rename", "/content")  # its files are written and not yet in their place
CARD_BEGUN = AtFile("open", r"card\.json(\.new)?", delay=0.001)
CARD_UNNAMED = AtFile("os.rename", r"\.card\.json\.new")
CARD_THERE = AtFile("shutil.rmtree", rf"/{DRAFTS}/[^/]+")
CHECKPOINTS = 4  # that each training surely writes
OF_ARTIFACTS = (ARTIFACT, CARD_BEGUN, CARD_UNNAMED, CARD_THERE)

BEFORE, WRITING, CHECKPOINTED, BETWEEN, AFTER = PLACES = (
    "before anything was written",
    "while an artifact or checkpoint was made",
    "after a checkpoint",
    "between two artifacts",
    "after the last card",
)


@dataclass
class Kills:
    """`check` kills the stage at each moment of `aimed` and at `at_random` others, and tries it again after each.

    `fell` counts, by where they fell, the kills of the project as it is.
    """

    deployment: Deployment
    stage: Stage
    aimed: Sequence[AtFile]
    at_random: int
    defect: Callable[[], None]
    draw: random.Random
    fell: Counter[str] = field(default_factory=Counter)
    prepare: Callable[[], None] = nothing
    reference: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def check(self) -> list[str]:
        """What was wrong; with a defect in place the first of it is enough."""
        if not self.reference:
            undisturbed = self.run()
            if undisturbed.code != 0:
                return [f"undisturbed it {undisturbed.how}"]
            self.reference, self.seconds = result(self.deployment, self.stage), undisturbed.seconds
        wrong: list[str] = []
        for moment in [*self.aimed, *[None] * self.at_random]:
            wrong += self.killed_and_tried_again(moment)
            if wrong and self.prepare is not nothing:
                return wrong
        return wrong + self.left_for_ever()

    @contextmanager
    def plant(self) -> Iterator[None]:
        """The defect, in every process of the stage; what it has made is gone afterwards."""
        before = folders(self.deployment)
        self.prepare = self.defect
        try:
            yield
        finally:
            self.prepare = nothing
            made = folders(self.deployment) - before
            for folder in [*made, *drafts(self.deployment), self.deployment.checkpoints]:
                shutil.rmtree(folder, ignore_errors=True)

    def killed_and_tried_again(self, moment: AtFile | None) -> list[str]:
        deployment = self.deployment
        there, drafted = folders(deployment), drafts(deployment)
        killed = self.run(self.drawn(moment))
        if killed.code == 0 and moment is None:  # faster than the first time
            self.seconds = killed.seconds
            return self.killed_and_tried_again(None)
        if killed.code != -9:
            return [f"it was to be killed at {moment} and {killed.how}"]
        where = self.where(folders(deployment) - there, drafts(deployment) - drafted)
        if self.prepare is nothing:
            self.fell[where] += 1
        log.info("%s: killed after %.1f s, %s", self.stage.name, killed.seconds, where)
        if wrong := half_written(deployment):
            return [f"killed {where}: {one}" for one in wrong]
        kept, retry = checkpoint_stands(deployment), self.run(patience=20 + 5 * self.seconds)
        if retry.code != 0:
            wrong.append(f"the retry {retry.how}")
        else:
            if kept != (GONE_ON in retry.said):
                wrong.append("the retry started anew" if kept else "the retry went on from nothing")
            wrong += compared(result(deployment, self.stage), self.reference)
            wrong += half_written(deployment)
            wrong += ["the retry left its checkpoint"] if checkpoint_files(deployment) else []
        return [f"killed {where}: {one}" for one in wrong]

    def drawn(self, moment: AtFile | None) -> Moment:
        """The moment at any one of the artifacts or checkpoints that the stage makes; without one any moment at all."""
        if moment is None:
            return AfterSeconds(self.draw.uniform(0, self.seconds))
        if moment == TRAINING:
            return replace(moment, nth=self.draw.randint(1, CHECKPOINTS), delay=self.draw.uniform(0.001, moment.delay))
        return replace(moment, nth=self.draw.randint(1, len(self.reference))) if moment in OF_ARTIFACTS else moment

    def left_for_ever(self) -> list[str]:
        """What is still there of all the kills once it is days old and `rlhf gc` has been by."""
        left = [folder for folder in folders(self.deployment) if not (folder / CARD).exists()]
        long_ago = time.time() - LEFTOVER_SECONDS - 60
        for folder in [*left, *drafts(self.deployment)]:
            os.utime(folder, (long_ago, long_ago))
        gone = attempt(["gc"], self.deployment.log, None, self.prepare)
        wrong = [] if gone.code == 0 else [f"rlhf gc {gone.how}"]
        if still := [*(folder for folder in left if folder.exists()), *drafts(self.deployment)]:
            wrong.append(f"after days and `rlhf gc` still there: {len(still)} leftovers of kills")
        return wrong + held_open()

    def run(self, moment: Moment | None = None, patience: float = PATIENCE) -> Ended:
        return attempt(self.stage.command, self.deployment.log, moment, self.prepare, patience)

    def where(self, new: set[Path], drafted: set[Path]) -> str:
        """Where a kill fell that has left these folders of runs and these drafts."""
        unfinished = [folder for folder in new if not (folder / CARD).exists()]
        stands = checkpoint_stands(self.deployment)
        if unfinished or drafted or len(checkpoint_files(self.deployment)) > stands:
            return WRITING
        if len(new) == len(self.reference):
            return AFTER
        if new:
            return BETWEEN
        return CHECKPOINTED if stands else BEFORE
