"""Supervised fine-tuning: the base model learns the answers that people rated well (TRL's SFTTrainer)."""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.batching import Batch
from rlhf_assets.policy.chat import conversation_of, encode, encode_prompt
from rlhf_assets.policy.log_probs import reply_states, token_log_probs
from rlhf_assets.policy.settings import SftSettings
from rlhf_assets.policy.weights import context_length, load_policy, plain, save_policy, with_lora
from rlhf_assets.progress import Progress


def train_sft(examples: pd.DataFrame, settings: SftSettings, compute: Compute, folder: Path) -> dict[str, Any]:
    """Fine-tune on examples {query, context, system_prompt, response, score} and write a plain model to `folder`.

    Returns counts, loss by step, mean loss of the last quarter, tokens and seconds. Raises RlhfError, with nothing
    written, on too few good answers or a loss that is not finite.
    """
    rated = well_rated(examples, settings)
    good = rated.head(settings.maximum_rows)
    model, tokenizer = load_policy(settings.base_model, compute)
    limit = min(settings.max_length, context_length(model))
    rows = [tokenize(tokenizer, row, limit) for row in good.to_dict("records")]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = CompletionTrainer(
            compute,
            model=with_lora(model, settings.lora_rank, settings.seed) if settings.lora_rank else model,
            args=arguments(settings, compute, scratch),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[SaysProgress()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not losses or not all(math.isfinite(loss) for loss in losses):
        raise RlhfError("the loss of SFT is not finite; lower its learning_rate")
    save_policy(trainer.model, tokenizer, folder)
    last = losses[-max(1, len(losses) // 4) :]
    return {
        "answers": len(good),
        "answers_left_out": len(rated) - len(good),
        "tokens": sum(sum(row["completion_mask"]) for row in rows),
        "first_loss": losses[0],
        "last_loss": sum(last) / len(last),
        "losses": losses,
        "seconds": time.monotonic() - start,
    }


def well_rated(examples: pd.DataFrame, settings: SftSettings) -> pd.DataFrame:
    """The good answers, best first, each once (several people rate one answer), in an order of nothing else."""
    keys = ["query", "context", "response"]
    rated = examples.assign(score=examples.groupby(keys, dropna=False)["score"].transform("mean"))
    good = rated[rated["score"] >= settings.minimum_score].drop_duplicates(keys)
    if len(good) < settings.minimum_rows:
        raise RlhfError(
            f"only {len(good)} answers are rated {settings.minimum_score} or better, SFT wants "
            f"{settings.minimum_rows}; collect more feedback or lower minimum_score"
        )
    return good.sort_values(["score", *keys], ascending=[False, True, True, True])


def tokenize(tokenizer: PreTrainedTokenizerBase, row: dict[Any, Any], limit: int) -> dict[str, list[int]]:
    """Prompt as PPO renders it, then the answer and its stop token; loss on the answer alone.

    An answer takes at most half of `limit`; one that is longer is learned without its stop token, for it goes on.
    """
    answer = [*encode(tokenizer, row["response"].strip()), tokenizer.eos_token_id][: limit // 2]
    prompt = encode_prompt(tokenizer, conversation_of(row), limit - len(answer))
    return {"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)}


def arguments(settings: SftSettings, compute: Compute, scratch: str) -> SFTConfig:
    """TRL's configuration: nothing is saved, reported or shown but through our own callback."""
    config = SFTConfig(
        output_dir=scratch,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,
        train_sampling_strategy="group_by_length",
        max_length=None,
        completion_only_loss=True,
        gradient_checkpointing=False,
        bf16=compute.precision == "bf16",
        use_cpu=compute.device == "cpu",
        dataloader_pin_memory=compute.device == "cuda",
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would log the mean of earlier losses instead
        disable_tqdm=True,
        seed=settings.seed,
    )
    if config.n_gpu > 1:  # the first one does it: TRL takes several from torchrun alone
        config._n_gpu = 1
    return config


class CompletionTrainer(SFTTrainer):
    """SFTTrainer with PPO's own log-probabilities: TRL multiplies gradients with the vocabulary in float32 on a CPU."""

    def __init__(self, compute: Compute, **given: Any) -> None:
        super().__init__(**given)
        self.compute = compute

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Mean surprise of the answers' tokens; labels (rows, length) are -100 elsewhere."""
        following = inputs["labels"].roll(-1, dims=1)
        following[:, -1] = -100
        predicts = following != -100
        batch = Batch(inputs["input_ids"], inputs["attention_mask"], predicts, following[predicts])
        causal = plain(self.accelerator.unwrap_model(model))
        log_probs = token_log_probs(causal, reply_states(causal, batch, self.compute), batch.targets, 1.0, self.compute)
        return -log_probs.sum() / (len(batch.targets) if num_items_in_batch is None else num_items_in_batch)


class SaysProgress(TrainerCallback):
    """Each step through Progress."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress = Progress("sft", state.max_steps)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Called after each step, since `logging_steps` is 1, and once at the end without a loss."""
        if "loss" in given["logs"]:
            self.progress.step(f"loss {float(given['logs']['loss']):.3f}")
