"""From votes to a reward model on disk."""

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from transformers import BertForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.progress import Progress
from rlhf_assets.reward.calibration import fit_line
from rlhf_assets.reward.checkpoint import fingerprint
from rlhf_assets.reward.forward import prepare
from rlhf_assets.reward.learner import Learner
from rlhf_assets.reward.lessons import lessons, propensity_weight
from rlhf_assets.reward.loading import load_classifier, quietly
from rlhf_assets.reward.pooling import with_mean_pooling
from rlhf_assets.reward.processes import Processes
from rlhf_assets.reward.scoring import CALIBRATION, said_of
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.storage.checkpoint import keep, kept

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOutcome:
    """`history` holds {epoch, train_loss, validation_loss} from epoch 0 on, when only the head has learned.

    Both are losses of `Objective`, per usual weight of a batch and per unit of weight; None for epoch 0's training and
    without validation votes. The model kept lies `mix` of the way from epoch 0's to best_epoch's.
    """

    history: list[dict[str, float | None]]
    best_epoch: int
    mix: float
    seconds: float


def train_reward(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    settings: RewardSettings,
    compute: Compute,
    folder: Path,
    pairs: tuple[pd.DataFrame | None, pd.DataFrame | None] = (None, None),
    checkpoint: Path | None = None,
) -> TrainingOutcome:
    """Train on `train`, keep what has the lowest loss on `validation`, save it to `folder`.

    Both frames have columns query, response, context, steps_before (JSON texts), kind, score in [0, 1], is_thumb,
    user_id (None where nobody knows) and maybe inverse_propensity, a row a vote. `pairs`: judgments to train and
    validate on beside them, with query, context, chosen and rejected; without, answers compete by their ratings, where
    pair_weight says so. `folder` gets a plain AutoModelForSequenceClassification with one output, its tokenizer and
    calibration.json, and nothing at all when training fails. The same seed gives the same weights on one machine's CPU,
    and so does a killed training that is started again with the same file `checkpoint`; it stays, for `checkpoint.drop`
    once what was trained is safe. Raises RlhfError when nothing counts, the loss is no longer finite or the model
    cannot be loaded.
    """
    started, processes = time.monotonic(), Processes.here(compute.device)
    torch.manual_seed(settings.seed)  # a new head's weights
    model, tokenizer = starting_model(settings, compute)
    known, held_out = lessons(train, settings, pairs[0]), lessons(validation, settings, pairs[1])
    if not known.weight:
        raise RlhfError(
            "there is nothing to learn from: no vote, or none that counts; raise score_weight, thumb_weight, "
            "pair_weight or step_weight"
        )
    learner = Learner(model, tokenizer, known, held_out, settings, compute, processes)
    training = fingerprint(model, known, held_out, settings.model_dump_json(), repr(compute)) if checkpoint else ""
    before = kept(checkpoint, training) if checkpoint else None
    if before:
        learner.go_on(before)
        log.info("training goes on from its checkpoint after %d of %d batches", learner.done, len(learner.batches))
    else:
        log.info("reading %d texts once, to fit a head on them", len(known.texts))
        learner.learn_head()
    progress = Progress("training", len(learner.batches) - learner.done)
    while learner.done < len(learner.batches):
        loss = learner.learn_batch()
        ended = learner.done == len(learner.batches)
        if checkpoint and (ended or learner.done % settings.checkpoint_steps == 0):
            state = learner.state()
            if processes.main:
                keep(checkpoint, training, state)
        progress.step(f"epoch {learner.batches[learner.done - 1][0]}, loss {loss:.4f}")
    mix = learner.settle()
    if processes.main:
        with quietly():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        said, given = said_of(model, tokenizer, validation, compute), validation["score"].to_numpy(float)
        line = fit_line(said, given, propensity_weight(validation, settings))
        (folder / CALIBRATION).write_text(json.dumps(line))
    processes.wait()
    return TrainingOutcome(learner.history, learner.best.epoch, mix, time.monotonic() - started)


def starting_model(settings: RewardSettings, compute: Compute) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    model, tokenizer = load_classifier(
        settings.model_path or settings.base_model, settings.max_length, trained=settings.model_path is not None
    )
    if settings.model_path is None and isinstance(model, BertForSequenceClassification):
        with_mean_pooling(model, settings.depth)
    prepare(model, tokenizer, compute)
    model.get_input_embeddings().requires_grad_(False)  # half of the weights; few votes teach few words
    model.eval()  # dropout stays off: its draws cost a CPU a third of the time, and the best epoch guards enough
    return model, tokenizer
