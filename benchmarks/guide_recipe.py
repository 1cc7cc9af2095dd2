"""The peer of reward_speed: the reward model as the assistant's own RLHF guide trains and asks it.

Transformers' Trainer, every row padded to 512 tokens, eight rows a step, fp32, each distinct text once with its first
vote, a thumb as 5 or 1; texts scored one by one. Mended only where transformers 5 would refuse it: `eval_strategy` by
its new name, no `logging_dir`, the score as `labels`. Two things are better than in the guide: it reads the texts that
we read (earlier turns and steps before the question), and it is kept every SAVE_STEPS so that hours are not lost.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

LENGTH = 512
BATCH = 8
SAVE_STEPS = 100
TEXTS = ["first", "second"]  # the two segments of `rlhf_assets.reward.inputs.pair`


class KeepOften(TrainerCallback):
    """A checkpoint every SAVE_STEPS beside those that the guide takes after each epoch."""

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        control.should_save |= state.global_step % SAVE_STEPS == 0


def first_votes(votes: pd.DataFrame) -> pd.DataFrame:
    """Each distinct text once, with the score of the vote that comes first."""
    return votes.drop_duplicates(TEXTS)[[*TEXTS, "score"]]


def train(
    votes: pd.DataFrame,
    validation: pd.DataFrame,
    base_model: str,
    folder: Path,
    *,
    epochs: int = 3,
    steps: int = -1,
    padding: str | bool = "max_length",
) -> None:
    """Train on frames with columns first, second and score in [0, 1] and save the best epoch's model to `folder`.

    With `steps` that many optimizer steps and no more. Padding is masked out: without it (`padding` False, but for what
    a batch needs) the same is learned in a tenth of the time. Goes on from the newest checkpoint in `folder`.
    """
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    model = AutoModelForSequenceClassification.from_pretrained(base_model, num_labels=1)

    def tokenised(frame: pd.DataFrame) -> Dataset:
        rows = Dataset.from_pandas(first_votes(frame).rename(columns={"score": "labels"}), preserve_index=False)
        return rows.map(
            lambda batch: tokenizer(
                batch["first"], batch["second"], truncation=True, padding=padding, max_length=LENGTH
            ),
            batched=True,
        )

    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        weight_decay=0.01,
        logging_steps=10,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=tokenised(votes),
        eval_dataset=tokenised(validation),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {"mse": float(np.mean((np.ravel(found.predictions) - found.label_ids) ** 2))},
        callbacks=[KeepOften()],
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class OneByOne:
    """The guide's scorer: a text at a time."""

    def __init__(self, folder: Path) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).to(self.device)

    def score(self, texts: pd.DataFrame) -> np.ndarray:
        """The model's outputs, shape (n,), of a frame with columns first and second."""
        return np.array(
            [self._one(first, second) for first, second in zip(texts["first"], texts["second"], strict=True)]
        )

    def _one(self, first: str, second: str) -> float:
        inputs = self.tokenizer(
            first, second, return_tensors="pt", truncation=True, padding=True, max_length=LENGTH
        ).to(self.device)
        with torch.no_grad():
            return self.model(**inputs).logits.item()
