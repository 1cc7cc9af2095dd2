"""One tiny PPO training as a process of its own, which a test may kill or start several times at once."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from rlhf_assets.policy.ppo import Judge, train_ppo
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets_tests.policy.conftest import FP32, share_of

PROMPTS = pd.DataFrame(
    {
        "prompt_id": [f"p{i:02}" for i in range(20)],
        "query": ["How do I find a job?" + " In solar energy?" * (i % 4) for i in range(20)],
        "context": "[]",
        "system_prompt": None,
    }
)
SETTINGS = PpoSettings(
    updates=6,
    prompts_per_update=8,
    micro_batch_size=2,
    calibration_prompts=8,
    max_new_tokens=8,
    learning_rate=1e-3,
    kl_target=1.0,
    kl_horizon=50,
    step_share=0.3,
    choice_updates=2,
    choice_prompts=6,
    checkpoint_updates=1,
)


def lengths(queries: list[str], steps: list[str], contexts: list[str], before: list[str]) -> np.ndarray:
    return np.array([float(len(step)) for step in steps])


def train(sft: Path, folder: Path, checkpoint: Path | None = None, lora_rank: int | None = None) -> dict[str, Any]:
    torch.set_num_threads(1)
    settings = SETTINGS.model_copy(update={"lora_rank": lora_rank})
    judge = Judge(share_of("a"), PROMPTS.head(9))
    return train_ppo(sft, PROMPTS, share_of("e"), settings, FP32, folder, judge, lengths, checkpoint)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sft, folder, *rest = sys.argv[1:]
    train(Path(sft), Path(folder), Path(rest[0]) if rest else None, int(rest[1]) if len(rest) > 1 else None)
