"""Reading the mean of all tokens with a stock class that reads the first one alone."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification

SHARE = 4.0  # of the mean beside the first token itself; what follows, a norm, sees their ratio alone
LINEAR = 0.5  # of what a norm leaves: tanh bends the rare large values and passes on the others as they are


def with_mean_pooling(model: BertForSequenceClassification, depth: float) -> None:
    """Keep that share of an encoder's layers, let the next one average all tokens into the first, and drop the rest.

    The averaging layer is a stock one whose weights say so: queries and keys are 0, so that attention spreads evenly
    over the tokens that are there; values and outputs pass on what they get; its feed-forward part adds nothing yet.
    The pooler's weights are small, so that its tanh bends little. All of it learns like any other weight. Sentence
    encoders are trained on the mean of their tokens, their first one says little; and their last layers have
    forgotten the wording on which taste depends.
    """
    layers = model.bert.encoder.layer
    kept = min(round(depth * len(layers)), len(layers) - 1)
    averaging: Any = layers[kept]
    pooler: Any = model.bert.pooler
    attention, output = averaging.attention, averaging.output
    same = torch.eye(model.config.hidden_size)
    set_linear(attention.self.query, 0 * same)
    set_linear(attention.self.key, 0 * same)
    set_linear(attention.self.value, same)
    set_linear(attention.output.dense, SHARE * same)
    set_linear(output.dense, torch.zeros_like(output.dense.weight))
    set_linear(pooler.dense, LINEAR * same)
    attention.output.LayerNorm.reset_parameters()
    output.LayerNorm.reset_parameters()
    model.bert.encoder.layer = layers[: kept + 1]
    model.config.num_hidden_layers = kept + 1


def set_linear(layer: nn.Linear, weight: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.zero_()
