"""Loading a sequence classifier with one output, quietly and with errors a person can mend."""

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from rlhf_assets.compute import out_of_memory
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.models import resolve_model, why_not_loaded

UNREADABLE = (
    OSError, ValueError, RuntimeError, KeyError, SafetensorError, json.JSONDecodeError, pickle.UnpicklingError
)  # fmt: skip


def load_classifier(
    name: str, max_length: int | None = None, *, trained: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model with one float32 output and its tokenizer, whose `model_max_length` is what the model can take.

    `max_length` lowers that further. Where there is no head yet, torch's global generator draws its weights; with
    `trained` that is an error. A decoder pools its last token, so padding is on the right and PAD, where the
    tokenizer has none, is EOS: the mask hides it. Raises RlhfError when this cannot be loaded or is not finite.
    """
    source = resolve_model(name)
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(
                source, padding_side="right", truncation_side="right", trust_remote_code=False
            )
            model, found = AutoModelForSequenceClassification.from_pretrained(
                source,
                num_labels=1,
                problem_type="regression",
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
    except UNREADABLE as error:
        raise out_of_memory(error) or RlhfError(
            f"cannot load the model {name!r} ({why_not_loaded(error)}); give a model's folder or hub id"
        ) from error
    if trained and (found["missing_keys"] or found["mismatched_keys"]):
        raise RlhfError(f"{name!r} is no trained reward model with one output; train one with `rlhf train reward`")
    if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise RlhfError(f"the weights of {name!r} hold NaN or infinity; use another model or train it again")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise RlhfError(f"the tokenizer of {name!r} has neither PAD nor EOS; choose another model")
    model.config.pad_token_id = tokenizer.pad_token_id
    limits = (max_length, tokenizer.model_max_length, positions(model))
    tokenizer.model_max_length = min(limit for limit in limits if limit is not None)
    return model, tokenizer


def head(model: PreTrainedModel) -> nn.Linear:
    """The last layer, from the pooled text (or, in decoders, each token) to the one output."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == 1][-1]


def positions(model: PreTrainedModel) -> int | None:
    """How many tokens the model has positions for; None where its architecture sets no limit."""
    for name, layer in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
            return layer.num_embeddings - layer.padding_idx - 1  # RoBERTa and its kin count from behind PAD
    return getattr(model.config, "max_position_embeddings", None)


@contextmanager
def quietly() -> Iterator[None]:
    """No progress bars and no report that the head is new, which is what is wanted."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
