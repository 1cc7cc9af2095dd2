"""Proximal policy optimisation of a policy against a reward read from text (Schulman 2017; Ouyang 2022).

Rounds of `PpoTrainer`, of which a judge who did not give the reward chooses the one whose policy is kept: a policy that
follows a reward for too long gets better by it and worse in truth (Gao 2023).
"""

import hashlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.history import describe
from rlhf_assets.policy.ppo_trainer import PpoTrainer
from rlhf_assets.policy.rollouts import Score
from rlhf_assets.policy.sampling import seed_of
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.step_rewards import StepScore
from rlhf_assets.policy.weights import save_policy
from rlhf_assets.progress import Progress
from rlhf_assets.storage.checkpoint import keep, kept

log = logging.getLogger(__name__)

VERSION = "4"  # of what a training does and of what a checkpoint holds; raise it where either changes


@dataclass(frozen=True)
class Judge:
    """Whose opinion chooses the round, and of replies to which prompts: none that the policy practises on."""

    score: Score
    prompts: pd.DataFrame


def train_ppo(
    sft_folder: str | Path,
    prompts: pd.DataFrame,
    score: Score,
    settings: PpoSettings,
    compute: Compute,
    folder: Path,
    judge: Judge | None = None,
    score_steps: StepScore | None = None,
    checkpoint: Path | None = None,
    made_from: str = "",
) -> dict[str, Any]:
    """Train on prompts {prompt_id, query, context, system_prompt} and write the policy to `folder`, a plain model.

    score: (queries, responses, contexts as JSON) -> one number a reply, any scale; score_steps the same of single
    steps, with those before them, where step_share gives them a part. Without a judge the last round is kept. A
    training that was killed goes on from the file `checkpoint` to the same numbers, if the models behind its functions,
    which `made_from` names, are the same too; the file stays, for `storage.checkpoint.drop` once the policy is safe.
    Returns the reward's gain and bias, the reference policy's mean score and the history of rounds, each of the policy
    before its update; what the judge said by update, and the `chosen_update`, None without a judge; as `final` the
    round whose replies are those of the policy kept, or, of the last update, of the one before. Raises RlhfError, with
    nothing written, on too few prompts, replies that show a collapse before the judge has chosen a round or say
    nothing, a reward that is not finite or always the same.
    """
    check_asked(prompts, settings, score_steps)
    start = time.monotonic()
    trainer = PpoTrainer(str(sft_folder), prompts.to_dict("records"), score, settings, compute, score_steps)
    choice = Choice(trainer, judge, settings)
    training = fingerprint(trainer, prompts, judge, settings, compute, made_from) if checkpoint else ""
    before = kept(checkpoint, training) if checkpoint else None
    if before:
        trainer.go_on(before["trainer"])
        choice.go_on(before["choice"])
        start -= before["seconds"]
        log.info("ppo goes on from its checkpoint after %d of %d updates", trainer.update, settings.updates)
    else:
        trainer.calibrate()
    progress = Progress("ppo", settings.updates, before=trainer.update)
    while trainer.update < settings.updates:
        figures = trainer.round()
        if collapsed(figures, settings, choice):
            break
        progress.step(describe(figures) + choice.look())
        if checkpoint and trainer.update % settings.checkpoint_updates == 0:
            spent = time.monotonic() - start
            state = {"trainer": trainer.state(), "choice": choice.state(), "seconds": spent}
            if trainer.processes.main:
                keep(checkpoint, training, state)
    choice.settle()
    if trainer.processes.main:
        save_policy(trainer.policy, trainer.tokenizer, folder)
    trainer.processes.wait()
    scale, kept_update = trainer.scale, choice.update or trainer.update
    return {
        "reward_gain": scale.gain,
        "reward_bias": scale.bias,
        "reference_score": -scale.bias / scale.gain,
        "seconds": time.monotonic() - start,
        "final": trainer.history[min(kept_update, trainer.update - 1)],
        "history": trainer.history,
        "judged": choice.judged,
        "chosen_update": choice.update,
    }


def check_asked(prompts: pd.DataFrame, settings: PpoSettings, score_steps: StepScore | None) -> None:
    """RlhfError where there is nothing to learn from."""
    if prompts.empty:
        raise RlhfError("PPO needs prompts to practise on; collect more feedback")
    if settings.step_share and settings.whiten_rewards:
        raise RlhfError("whiten_rewards changes the scale of what steps were paid; set it or step_share, not both")
    if settings.step_share and score_steps is None:
        raise RlhfError("step_share gives single steps a part of the reward and nothing scores them; set it to 0")


def collapsed(figures: dict[str, float], settings: PpoSettings, choice: "Choice") -> bool:
    """Whether training ends here, with a policy that the judge chose before; RlhfError where there is none.

    What a round measures is the policy after the update before it, which the judge may have liked itself.
    """
    if figures["kl"] <= settings.collapse_kl:
        return False
    said = (
        f"the policy collapsed: {figures['kl']:.0f} nats a reply from the SFT policy in round {figures['update']:.0f}"
    )
    if choice.update is None or choice.update == figures["update"] - 1:
        raise RlhfError(f"{said}; lower learning_rate or raise kl_coefficient")
    log.warning("%s; training ends, and the policy after update %d is kept", said, choice.update)
    return True


def looked_at(update: int, settings: PpoSettings) -> bool:
    """Whether the judge looks at the policy after that update."""
    return update % settings.choice_updates == 0 or update == settings.updates


class Choice:
    """The round that the judge likes best, on the same prompts and with the same generators each time it looks."""

    def __init__(self, trainer: PpoTrainer, judge: Judge | None, settings: PpoSettings) -> None:
        self.trainer, self.judge, self.settings = trainer, judge, settings
        rows: Sequence[dict[Any, Any]] = []
        if judge is not None:
            if judge.prompts.empty:
                log.warning("there is no validation prompt on which the judge could choose: the last update is kept")
            asked = judge.prompts.sort_values("prompt_id")
            rows = asked.sample(min(settings.choice_prompts, len(asked)), random_state=settings.seed).to_dict("records")
        self.rows = rows
        self.judged: list[dict[str, float]] = []
        self.update: int | None = None  # the one whose policy is kept; None where nobody judged
        self.best: list[torch.Tensor] | None = None  # its weights

    def look(self) -> str:
        """Let the judge look at the policy as it now is, if it is time to, and say what came of it."""
        trainer, settings = self.trainer, self.settings
        if self.judge is None or not self.rows or not looked_at(trainer.update, settings):
            return ""
        seeds = [seed_of(settings.seed, i) for i in range(len(self.rows))]
        said = float(trainer.rollout(self.rows, seeds, self.judge.score).scores.mean())
        if said > max((one["judge"] for one in self.judged), default=-math.inf):
            self.update, self.best = trainer.update, trainer.learner.snapshot()
        self.judged.append({"update": trainer.update, "judge": said})
        return f", judge {said:.3f}"

    def settle(self) -> None:
        """Give the policy the weights of the chosen round."""
        if self.best is not None:
            self.trainer.learner.put_back(self.best)

    def state(self) -> dict[str, Any]:
        return {"judged": self.judged, "update": self.update, "best": self.best}

    def go_on(self, state: dict[str, Any]) -> None:
        self.judged, self.update, self.best = state["judged"], state["update"], state["best"]


def fingerprint(
    trainer: PpoTrainer,
    prompts: pd.DataFrame,
    judge: Judge | None,
    settings: PpoSettings,
    compute: Compute,
    made_from: str,
) -> str:
    """What a training hangs on: two with one fingerprint are the same training."""
    told = (VERSION, torch.__version__, transformers.__version__, settings.model_dump_json(), repr(compute), made_from)
    found = hashlib.sha256("\n".join(told).encode())
    for weight in trainer.policy.parameters():
        found.update(weight.detach().cpu().numpy().tobytes())
    for frame in (prompts, judge.prompts if judge else None):
        if frame is not None:
            found.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return found.hexdigest()
