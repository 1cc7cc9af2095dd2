"""What ppo_speed measures, in a process of its own: `python -m benchmarks.ppo_speed_cells SIDE PRECISION FOLDER`.

SIDE is ours or trl. FOLDER holds policy/, reward/, prompts.parquet and settings.json. The last line of output is what
was found, as JSON; scores and gold are of the rounds' own replies, read after the clock has stopped and in fp32.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.shared_reward import SharedReward
from benchmarks.small_world import gold
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import Compute, choose_compute, peak_memory_mb
from rlhf_assets.policy.answers import decode, encode_rows
from rlhf_assets.policy.ppo import train_ppo
from rlhf_assets.policy.sampling import Reply
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.weights import load_policy

THREADS = 2
PARTS = ("rollout", "scoring", "policy", "reference", "learning")


def ours(folder: Path, settings: PpoSettings, compute: Compute) -> dict[str, Any]:
    """A round is from one call of the score to the next; the first call is the calibration's."""
    reward, moments, said = SharedReward(folder / "reward", compute), [], []

    def score(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        moments.append(time.perf_counter())
        said.append((queries, responses, contexts))
        return reward(queries, responses, contexts)

    with tempfile.TemporaryDirectory() as name:
        prompts = pd.read_parquet(folder / "prompts.parquet")
        outcome = train_ppo(folder / "policy", prompts, score, settings, compute, Path(name))
    history = outcome["history"]
    rounds = {part: history[1:] if part == "rollout" else history[:-1] for part in PARTS}  # between two scorings
    return {
        **rates(moments[1:], settings),
        "parts": {part: float(np.mean([row[f"{part}_seconds"] for row in rounds[part]])) for part in PARTS},
        "memory_mb": peak_memory(),
        **learned(folder, said[1:]),
        "length": [row["length"] for row in history],
        "stop_rate": [row["stop_rate"] for row in history],
        "kl": [row["kl"] for row in history],
    }


def trl(folder: Path, settings: PpoSettings, compute: Compute) -> dict[str, Any]:
    from benchmarks import trl_recipe

    rows: Any = pd.read_parquet(folder / "prompts.parquet").to_dict("records")
    model, tokenizer = load_policy(folder / "policy", compute)
    prompts = encode_rows(tokenizer, rows, model.config.max_position_embeddings, settings.max_new_tokens)
    with tempfile.TemporaryDirectory() as name:
        moments, rounds = trl_recipe.train(folder / "policy", folder / "reward", prompts, settings, compute, Path(name))
    found = {**rates(moments, settings), "memory_mb": peak_memory()}
    said = []
    for replies in rounds:
        asked = [rows[row] for row, _ in replies]
        texts = [decode(tokenizer, Reply(tokens, [], stopped=False)) for _, tokens in replies]
        said.append(([one["query"] for one in asked], texts, [one["context"] for one in asked]))
    return {
        **found,
        **learned(folder, said),
        "length": [float(np.mean([len(tokens) for _, tokens in replies])) for replies in rounds],
        "stop_rate": [
            float(np.mean([tokenizer.eos_token_id in tokens for _, tokens in replies])) for replies in rounds
        ],
    }


def rates(moments: list[float], settings: PpoSettings) -> dict[str, Any]:
    """Of all rounds but the first, which warms up; (rounds,) moments at the same place of each."""
    seconds = (moments[-1] - moments[0]) / (len(moments) - 1)
    return {"episodes_per_second": settings.prompts_per_update / seconds, "seconds_per_round": seconds}


def learned(folder: Path, said: list[tuple[list[str], list[str], list[str]]]) -> dict[str, Any]:
    """Each round's mean score and gold, by the same model of the same texts for both sides."""
    reward = SharedReward(folder / "reward", Compute("cpu", "fp32"))
    return {
        "score": [float(reward(*texts).mean()) for texts in said],
        "gold": [float(gold(*texts).mean()) for texts in said],
    }


def peak_memory() -> float:
    """Of the device that weights lie on, else of the whole process, MB."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else peak_memory_mb()


SIDES: dict[str, Callable[[Path, PpoSettings, Compute], dict[str, Any]]] = {"ours": ours, "trl": trl}

if __name__ == "__main__":
    show_progress()
    torch.set_num_threads(THREADS)
    side, precision, place = sys.argv[1:]
    loaded = peak_memory()
    asked = PpoSettings(**json.loads((Path(place) / "settings.json").read_text()))
    found = SIDES[side](Path(place), asked, choose_compute(precision=precision))
    print(json.dumps({**found, "memory_before_mb": loaded, "precision": precision}))  # noqa: T201
