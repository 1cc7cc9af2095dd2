"""Whether a checkpoint is that of this training."""

import hashlib

import pandas as pd
import torch
import transformers
from torch import nn

from rlhf_assets.reward.lessons import Lessons

VERSION = "2"  # of what a training does and of what a checkpoint holds; raise it where either changes


def fingerprint(start: nn.Module, *made_from: Lessons | str) -> str:
    """What a training hangs on: two with one fingerprint are the same training."""
    found = hashlib.sha256(f"{VERSION} {torch.__version__} {transformers.__version__}".encode())
    for weight in start.parameters():
        found.update(weight.detach().cpu().numpy().tobytes())
    for one in made_from:
        if isinstance(one, str):
            found.update(one.encode())
            continue
        for frame in (one.texts, one.votes):
            found.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
        for values in (one.better, one.worse, one.pair_weight):
            found.update(values.tobytes())
    return found.hexdigest()
