"""The peer of ppo_speed: PPO as the last TRL that had it does it, trl==1.12.0, which lies in a folder of its own.

`pip install --no-deps --target .rlhf/benchmarks/trl-1.12 trl==1.12.0` puts it there, and so does the benchmark; its
processes find it before the TRL that is installed. Mended in one place only: bf16 is asked of Accelerate by its
environment, since TRL's own `bf16` no longer reaches it through transformers 5 and would change nothing.

Configured so that it does what ours does, as fast as it can: the same rate and its decay, epochs, clips, KL, GAE and
penalty; stops at the tokenizer's end of text; samples whole rounds at a time; no gradient checkpointing, no samples
shown, nothing saved. A whole minibatch is one backward pass: with gradient accumulation TRL steps less often than once
a minibatch. Its value model is another whole model, which starts from the reward model as in TRL's example, and it does
not clip gradients; neither can be set otherwise.
"""

import os
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, TrainerCallback

from rlhf_assets.compute import Compute
from rlhf_assets.policy.batching import pad_left
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.weights import load_policy

VERSION = "1.12.0"


class Moments(TrainerCallback):
    """When each round was done, in seconds."""

    def __init__(self) -> None:
        self.rounds: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.rounds.append(time.perf_counter())


class Asked:
    """Collates prompts as TRL's own collator does, and notes which they are."""

    def __init__(self, pad: int) -> None:
        self.pad = pad
        self.rows: list[list[int]] = []
        self.widths: list[int] = []

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = pad_left([one["input_ids"] for one in features], self.pad)
        self.rows.append([one["row"] for one in features])
        self.widths.append(ids.shape[1])
        return {"input_ids": ids, "attention_mask": mask}


def train(
    policy: Path, reward: Path, prompts: list[list[int]], settings: PpoSettings, compute: Compute, scratch: Path
) -> tuple[list[float], list[list[tuple[int, list[int]]]]]:
    """Train for `settings.updates` rounds: when each was done, and its prompts' numbers with their reply's tokens."""
    if compute.precision == "bf16":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    model, tokenizer = load_policy(policy, compute)
    reference, _ = load_policy(policy, compute)
    judge, value = (AutoModelForSequenceClassification.from_pretrained(reward, num_labels=1) for _ in range(2))
    heard: list[tuple[torch.Tensor, torch.Tensor]] = []
    judge.base_model.register_forward_pre_hook(
        lambda _, __, given: heard.append((given["input_ids"].cpu(), given["attention_mask"].cpu())), with_kwargs=True
    )
    asked, moments = Asked(tokenizer.pad_token_id), Moments()
    trainer = PPOTrainer(
        args=PPOConfig(
            output_dir=str(scratch),
            total_episodes=settings.updates * settings.prompts_per_update,
            per_device_train_batch_size=settings.prompts_per_update,
            gradient_accumulation_steps=1,
            local_rollout_forward_batch_size=settings.prompts_per_update,
            num_ppo_epochs=settings.epochs,
            num_mini_batches=settings.minibatches,
            response_length=settings.max_new_tokens,
            stop_token="eos",  # noqa: S106
            missing_eos_penalty=settings.missing_stop_penalty,
            temperature=settings.temperature,
            learning_rate=settings.learning_rate,
            adam_epsilon=settings.adam_epsilon,
            lr_scheduler_type="linear",
            kl_coef=settings.kl_coefficient,
            cliprange=settings.ratio_clip,
            cliprange_value=settings.value_clip,
            vf_coef=settings.value_coefficient,
            gamma=settings.discount,
            lam=settings.gae_lambda,
            whiten_rewards=settings.whiten_rewards,
            seed=settings.seed,
            bf16=compute.precision == "bf16",
            use_cpu=compute.device == "cpu",
            gradient_checkpointing=False,
            num_sample_generations=0,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
        ),
        processing_class=tokenizer,
        model=model,
        ref_model=reference,
        reward_model=judge,
        value_model=value,
        train_dataset=Dataset.from_dict({"input_ids": prompts, "row": list(range(len(prompts)))}),
        eval_dataset=Dataset.from_dict({"input_ids": prompts[:1], "row": [0]}),
        data_collator=asked,
        callbacks=[moments],
    )
    trainer.train()
    rounds = [
        [(row, own[seen].tolist()) for row, own, seen in zip(rows, ids[:, width:], mask[:, width:].bool(), strict=True)]
        for rows, width, (ids, mask) in zip(asked.rows, asked.widths, heard, strict=False)  # one batch is fetched ahead
    ]
    return moments.rounds, rounds
