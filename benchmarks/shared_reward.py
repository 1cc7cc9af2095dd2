"""A reward model that reads the policy's own tokens, as TRL asks of it: the small policy with one output.

It learns the demo's mean votes on answers, one pass of plain regression on prompt, answer and end token, and its
last layer is scaled so that scores of the SFT policy's replies have deviation 1, which TRL does not see to. TRL gives
it tokens; ours gives it text, which it renders and tokenises again, with an end token always behind the answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForSequenceClassification

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.policy.answers import answer_with
from rlhf_assets.policy.batching import length_groups, pad_right
from rlhf_assets.policy.chat import load_tokenizer
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.sft import tokenize
from rlhf_assets.progress import Progress

VERSION = "1"  # of what training does; raise it where that changes
BATCH, LEARNING_RATE, SEED = 16, 3e-4, 0
READ_AT_ONCE = 32


class SharedReward:
    """Queries, responses, contexts -> (n,), as PPO asks a reward."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        self.compute, self.tokenizer = compute, load_tokenizer(str(folder))
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
        self.model.to(compute.device).eval()

    def __call__(self, queries: Sequence[str], responses: Sequence[str], contexts: Sequence[str]) -> np.ndarray:
        rows = [
            {"query": query, "response": response, "context": context}
            for query, response, context in zip(queries, responses, contexts, strict=True)
        ]
        ids, scores = self.encode(rows), np.empty(len(rows))
        with torch.inference_mode():
            for group in length_groups(range(len(ids)), [len(one) for one in ids], READ_AT_ONCE):
                scores[group] = self.outputs([ids[i] for i in group]).cpu().numpy()
        return scores

    def encode(self, rows: Sequence[dict[Any, Any]]) -> list[list[int]]:
        limit = self.model.config.max_position_embeddings
        return [tokenize(self.tokenizer, row, limit)["input_ids"] for row in rows]

    def outputs(self, texts: list[list[int]]) -> torch.Tensor:
        """(texts,), each read at its last token."""
        batch = pad_right([ids[:1] for ids in texts], [ids[1:] for ids in texts], self.pad, self.compute.device)
        with autocast(self.compute):
            read = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return read.logits.squeeze(-1).float()

    @property
    def pad(self) -> int:
        return int(self.model.config.pad_token_id)


def train_shared_reward(
    votes: pd.DataFrame, prompts: pd.DataFrame, policy: Path, settings: PpoSettings, compute: Compute, new: Path
) -> None:
    """Write the model to the folder `new`; votes on answers, prompts that the SFT policy in `policy` replies to."""
    torch.manual_seed(SEED)  # the new layer's weights
    reward = SharedReward(policy, compute)
    rated = votes[votes["kind"] == "message"].groupby(["query", "context", "response"])[["score"]].mean().reset_index()
    target = (rated["score"] - rated["score"].mean()) / rated["score"].std()
    ids, wanted = reward.encode(rated.to_dict("records")), torch.tensor(target.to_numpy(), dtype=torch.float32)
    optimizer = torch.optim.AdamW(reward.model.parameters(), lr=LEARNING_RATE)
    parts = torch.randperm(len(ids)).split(BATCH)  # one pass: a second one learns the votes by heart
    progress = Progress("shared reward model", len(parts))
    for part in parts:
        loss = (reward.outputs([ids[i] for i in part]) - wanted[part].to(compute.device)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.step(f"loss {loss.item():.3f}")
    rows: Any = prompts.head(settings.calibration_prompts).to_dict("records")
    said = answer_with(str(policy), rows, settings.max_new_tokens, settings.temperature, SEED)
    scores = reward([row["query"] for row in rows], [one["response"] for one in said], [r["context"] for r in rows])
    with torch.no_grad():
        reward.model.score.weight /= scores.std()
    reward.model.save_pretrained(new)
    reward.tokenizer.save_pretrained(new)
