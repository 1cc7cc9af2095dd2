"""How a loaded classifier reads: the stock classes' numbers, sooner, and no digit lost where digits count."""

from typing import Any

import torch
from torch import Tensor, autocast, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.masking_utils import eager_mask
from transformers.models.bert.modeling_bert import BertLayer

from rlhf_assets.compute import Compute
from rlhf_assets.reward.optimizer import LAYER

LONG = 512  # tokens
SHORT = "short_texts"  # how transformers knows our attention


def prepare(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, compute: Compute) -> None:
    """Make a model, whose layers stay as they are from now on, ready to read on that device, dropout off."""
    model.to(compute.device)  # type: ignore[arg-type]  # a decorator hides the signature
    attention = "eager"
    if isinstance(model, BertForSequenceClassification) and not model.config.is_decoder:
        attention = SHORT
        model.bert.encoder.layer[-1].__class__ = FirstTokenOnly
    if compute.device == "cpu" and tokenizer.model_max_length <= LONG:  # scores of longer texts would fill the memory
        # torch's fused attention takes longer there, in bf16 most of all
        model.set_attn_implementation(attention)
    for layer in after_all_layers(model):
        layer.register_forward_hook(in_full_precision)


def after_all_layers(model: PreTrainedModel) -> list[nn.Linear]:
    """What comes after the last of the numbered layers: pooler and head."""
    modules = list(model.named_modules())
    last = max((i for i, (name, _) in enumerate(modules) if LAYER.search(name)), default=-1)
    return [module for _, module in modules[last + 1 :] if isinstance(module, nn.Linear)]


def attention_over_short_texts(
    layer: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Eager attention without its copies of all scores: (texts, heads, tokens, width) to (texts, tokens, heads, width).

    The mask, where there is one, is additive and the same for every token that asks.
    """
    texts, heads, tokens, width = query.shape
    query, key, value = (each.reshape(texts * heads, tokens, width) for each in (query, key, value))
    mask = query.new_zeros(1, 1, 1, 1) if mask is None else mask[:, :, :1].to(query.dtype)
    with autocast(query.device.type, enabled=False):  # which would make fp32 of the scores, and bf16 again
        scores = torch.baddbmm(
            mask.expand(texts, heads, 1, tokens).reshape(texts * heads, 1, tokens),
            query,
            key.transpose(1, 2),
            alpha=scaling,
        )
        mixed = torch.bmm(scores.softmax(-1), value)
    return mixed.view(texts, heads, tokens, width).transpose(1, 2), None


AttentionInterface.register(SHORT, attention_over_short_texts)
AttentionMaskInterface.register(SHORT, eager_mask)


def in_full_precision(layer: nn.Linear, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """Forward hook for what reads a text's last vectors, as pooler and head do.

    It costs little there, and under autocast bf16's 8 bits would blur what tells two good answers apart.
    """
    with autocast(output.device.type, enabled=False):
        return linear(inputs[0].float(), layer.weight, layer.bias)


class FirstTokenOnly(BertLayer):
    """A last layer that makes its first token alone, since the pooler reads no other: a sixth less work in five.

    Attention reads all tokens as before, so scores and gradients stay the same up to rounding.
    """

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        """(texts, tokens, width) to (texts, 1, width); the mask, additive or boolean, is (texts, 1, tokens, tokens)."""
        attention = self.attention.self
        first = hidden_states[:, :1]
        query, key, value = (
            projected.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
            for projected in (attention.query(first), attention.key(hidden_states), attention.value(hidden_states))
        )
        mask = None if attention_mask is None else attention_mask[:, :, :1]
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = self.attention.output(mixed.transpose(1, 2).flatten(2), first)
        return self.feed_forward_chunk(attended)
