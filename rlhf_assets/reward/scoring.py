"""A trained reward model at work: texts in, one number each out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute, autocast
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.forward import prepare
from rlhf_assets.reward.inputs import TEXTS, Features, encode, encode_frame
from rlhf_assets.reward.loading import load_classifier

CALIBRATION = "calibration.json"
TOKENS = {"cpu": 1024, "cuda": 32768, "mps": 32768}  # read at once, for its memory or, on a CPU, its caches


class RewardScorer:
    """A reward model loaded once; reads text, so it serves a policy with any tokenizer."""

    def __init__(self, folder_or_name: str | Path, compute: Compute) -> None:
        """Raises RlhfError when model or calibration cannot be loaded, the head is not trained or has NaN."""
        self.compute = compute
        self.model, self.tokenizer = load_classifier(str(folder_or_name), trained=True)
        prepare(self.model, self.tokenizer, compute)
        calibration = Path(folder_or_name) / CALIBRATION
        try:
            fitted = json.loads(calibration.read_text()) if calibration.is_file() else {"gain": 1.0, "bias": 0.0}
            self.gain, self.bias = float(fitted["gain"]), float(fitted["bias"])
        except (ValueError, KeyError, TypeError):
            raise RlhfError(f"{calibration} holds no calibration; train the reward model again") from None

    def score(
        self,
        queries: Sequence[str],
        responses: Sequence[str],
        contexts: Sequence[str] | None = None,
        steps_before: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Raw outputs (n,) in the order given; contexts and steps_before are JSON texts as in `inputs.pair`."""
        features = encode(self.tokenizer, queries, responses, contexts, steps_before)
        return outputs(self.model, self.tokenizer, features, self.compute)

    def score_votes(self, votes: pd.DataFrame) -> np.ndarray:
        """Raw output (n,) for the text of each vote; see `said_of`."""
        return said_of(self.model, self.tokenizer, votes, self.compute)

    def calibrated(self, raw: np.ndarray) -> np.ndarray:
        """The rating in [0, 1] that a raw output stands for, by the line fitted on the validation votes."""
        return np.clip(self.gain * raw + self.bias, 0.0, 1.0)


def said_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, votes: pd.DataFrame, compute: Compute
) -> np.ndarray:
    """The model's output (n,) for the text of each vote, with columns TEXTS, each distinct text read once."""
    number = votes.groupby(TEXTS, sort=False, dropna=False).ngroup().to_numpy()
    texts = votes.loc[~pd.Series(number, votes.index).duplicated()]
    return outputs(model, tokenizer, encode_frame(tokenizer, texts), compute)[number]


def outputs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    features: list[Features],
    compute: Compute,
) -> np.ndarray:
    """The model's output (n,) for each row, dropout off; batches hold rows of similar length."""
    model.eval()
    raw = np.empty(len(features))
    with torch.inference_mode(), autocast(compute):
        for rows in by_length(features, compute):
            batch = tokenizer.pad([features[i] for i in rows], return_tensors="pt").to(compute.device)
            raw[rows] = model(**batch).logits.squeeze(-1).float().cpu().numpy()
    return raw


def by_length(features: list[Features], compute: Compute) -> Iterator[list[int]]:
    """Batches of row numbers, longest first, so that a batch too large for memory fails at once."""
    order = sorted(range(len(features)), key=lambda i: -len(features[i]["input_ids"]))
    while order:
        rows = max(1, TOKENS[compute.device] // max(1, len(features[order[0]]["input_ids"])))
        yield order[:rows]
        order = order[rows:]
