"""A policy's weights: loading, LoRA, the copy that samples, saving as a plain Hugging Face folder."""

import copy
import tempfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from rlhf_assets.compute import Compute, out_of_memory
from rlhf_assets.errors import RlhfError, first_line
from rlhf_assets.policy.chat import load_tokenizer
from rlhf_assets.storage.models import resolve_model, why_not_loaded


def load_policy(name: str | Path, compute: Compute) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32 on the device, dropout off, and its tokenizer (`load_tokenizer`); vocabularies fit.

    Raises RlhfError when it cannot be loaded or its weights are not finite.
    """
    tokenizer = load_tokenizer(str(name))
    folder = resolve_model(str(name))
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        # an embedding's padding row gets no gradient: it must not be a token that the policy has to learn
        config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id < config.vocab_size else None
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise out_of_memory(error) or RlhfError(f"cannot load the policy {name}: {why_not_loaded(error)}") from error
    model, found = loaded
    if absent := sorted(found["missing_keys"]):
        raise RlhfError(f"the policy {name} lacks {len(absent)} weights, first {absent[0]}; give a whole causal model")
    add_rows(model, len(tokenizer))
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    check_finite(model, str(name))
    check_head(model.eval(), str(name))
    return model.to(compute.device), tokenizer


def check_finite(model: torch.nn.Module, name: str) -> None:
    """RlhfError unless every weight is a number."""
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise RlhfError(f"the weights of {name} are not finite; train it again with a lower learning rate")


@torch.no_grad()
def check_head(model: Any, name: str) -> None:
    """RlhfError unless the logits are hidden states times the vocabulary head's weights, as `log_probs` takes them."""
    ids = torch.arange(8)[None] % model.config.vocab_size
    product = model.base_model(input_ids=ids).last_hidden_state @ model.get_output_embeddings().weight.T
    if not torch.allclose(model(input_ids=ids).logits, product, rtol=1e-3, atol=1e-3):
        raise RlhfError(
            f"the policy {name} does more than multiply at its vocabulary head (a bias, a scale or a soft cap), which "
            "PPO here does not follow; choose another base model"
        )


def add_rows(model: Any, vocabulary: int) -> None:
    """Give each added token an embedding, the mean of the others: no randomness, and never a likely token."""
    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary <= rows:
        return
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
        with torch.no_grad():
            embeddings.weight[rows:] = embeddings.weight[:rows].mean(0)


def context_length(model: PreTrainedModel) -> int:
    """Tokens of prompt and reply together at most."""
    return int(getattr(model.config, "max_position_embeddings", None) or 1_000_000)


def lora_config(rank: int) -> LoraConfig:
    """An adapter on every linear layer but the vocabulary head, without dropout, scaled by two."""
    return LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")


def with_lora(model: PreTrainedModel, rank: int, seed: int) -> PeftModel:
    """The model with a fresh adapter that changes nothing yet; only the adapter learns."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted: Any = get_peft_model(model, lora_config(rank))
    return adapted.eval()


def plain(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The causal language model itself, whether or not it carries an adapter."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    return base


def sampling_copy(model: PreTrainedModel, compute: Compute) -> PreTrainedModel:
    """A plain copy to sample from, in bf16 where that is fast: autocast would cast every weight at every token."""
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    sampler: Any = copy.deepcopy(model)
    return sampler.to(dtype).requires_grad_(False)


@torch.no_grad()
def refresh(sampler: PreTrainedModel, model: PreTrainedModel | PeftModel) -> None:
    """Bring the sampling copy up to the policy's weights, an adapter merged in."""
    if not isinstance(model, PeftModel):
        for ours, theirs in zip(sampler.parameters(), model.parameters(), strict=True):
            ours.copy_(theirs)
        return
    for name, module in plain(model).named_modules():
        if isinstance(module, LoraLayer):
            layer: Any = module
            target: Any = sampler.get_submodule(name)
            target.weight.copy_(layer.get_base_layer().weight + layer.get_delta_weight("default"))


def save_policy(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a plain folder for stock transformers, an adapter merged in; complete or not at all.

    Raises RlhfError, with nothing written, when its weights are not finite or the disk is full.
    """
    whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
    check_finite(whole, "the trained policy")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            whole.save_pretrained(beside)
            tokenizer.save_pretrained(beside)
            for file in sorted(Path(beside).iterdir()):
                file.replace(folder / file.name)
    except (OSError, SafetensorError) as error:
        raise RlhfError(
            f"cannot write the trained policy to {folder} ({first_line(error)}); is the disk full? Free some space and "
            "start it again"
        ) from error
