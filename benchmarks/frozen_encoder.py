"""The reference that a fine-tuned reward model must not fall behind: a frozen sentence encoder and a linear head, which
sees the answer's length too, since an encoder's mean hides it and people often go by it."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from transformers import AutoModel, AutoTokenizer

from benchmarks.judgments import Judgments
from rlhf_assets.reward.loading import quietly
from rlhf_assets.storage.models import resolve_model

BATCH, LONGEST = 32, 512
STRENGTHS = 10.0 ** np.arange(-6, 2)  # of the head's fit; the best on validation is taken
FREE = 10.0  # how much larger the length's columns are than the others, so that the fit hardly shrinks their weights


def embeddings(name: str, judgments: Judgments) -> np.ndarray:
    """The mean of the last layer's tokens for each text, question and answer together, and then the answer's characters
    and their logarithm, (texts, width + 2)."""
    with quietly():
        source = resolve_model(name)
        tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).eval()
    asked = judgments.asked
    first, second = asked["query"].tolist(), asked["response"].tolist()
    order = np.argsort([len(one) + len(other) for one, other in zip(first, second, strict=True)])
    made = np.empty((len(asked), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = tokenizer(
                [first[i] for i in rows], [second[i] for i in rows],
                truncation="longest_first", max_length=LONGEST, padding=True, return_tensors="pt",
            )  # fmt: skip
            mask = batch["attention_mask"][..., None]
            made[rows] = ((model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)).numpy()
    characters = asked["response"].str.len().to_numpy(np.float32)
    return np.column_stack([made, characters, np.log1p(characters)])


def reference(judgments: Judgments, vectors: np.ndarray, train: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """What a linear head on `vectors`, fitted on the judgments `train`, says of every text, (texts,)."""
    used = np.unique(judgments.first[train])
    scaled = (vectors - vectors[used].mean(0)) / (vectors[used].std(0) + 1e-6)
    scaled[:, -2:] *= FREE
    heads = [head(judgments, scaled, train, strength) for strength in STRENGTHS]
    return max((scaled @ weights for weights in heads), key=lambda said: agreement(judgments, said, validation))


def head(judgments: Judgments, vectors: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
    first, second = vectors[judgments.first[rows]], vectors[judgments.second[rows]]
    if judgments.shape != "pairs":
        return Ridge(alpha=1 / strength).fit(first, judgments.given[rows]).coef_
    gap = first - second
    both, right = np.concatenate([gap, -gap]), np.repeat([1, 0], len(gap))
    solver = LogisticRegression(C=strength, fit_intercept=False, max_iter=2000)
    return solver.fit(both, right).coef_[0]


def agreement(judgments: Judgments, said: np.ndarray, rows: np.ndarray) -> float:
    """The share of pairs ordered as judged, or Pearson's correlation with the ratings."""
    first, second = said[judgments.first[rows]], said[judgments.second[rows]]
    if judgments.shape == "pairs":
        return float(np.mean((first > second) + 0.5 * (first == second)))
    given = judgments.given[rows]
    return float(np.corrcoef(first, given)[0, 1]) if first.std() > 0 and given.std() > 0 else 0.0
