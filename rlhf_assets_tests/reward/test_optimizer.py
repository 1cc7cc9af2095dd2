from pathlib import Path

import pytest
from torch import nn
from transformers import AutoModelForSequenceClassification

from rlhf_assets.reward.optimizer import build_optimizer, rate
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.tiny_models import tiny_gpt2


def test_the_rate_rises_and_falls_linearly() -> None:
    shares = [rate(step, 10, 0.2) for step in range(11)]
    assert shares == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])
    assert [rate(step, 2, 0.0) for step in range(2)] == [1.0, 0.5]


def test_biases_and_norms_do_not_decay(reward_model: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    decay = {
        id(weight): group["weight_decay"]
        for group in build_optimizer(model, nn.Module(), RewardSettings(weight_decay=0.3)).param_groups
        for weight in group["params"]
    }
    for name, weight in model.named_parameters():
        assert decay[id(weight)] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.3), name


def test_lower_layers_learn_slower_in_any_architecture(reward_model: Path, tmp_path: Path) -> None:
    settings = RewardSettings(learning_rate=1.0, layer_decay=0.5)
    for folder, below, layer, above in (
        (
            reward_model,
            "bert.embeddings.LayerNorm.weight",
            "bert.encoder.layer.{}.output.dense.bias",
            "classifier.bias",
        ),
        (tiny_gpt2(tmp_path), "transformer.wpe.weight", "transformer.h.{}.mlp.c_fc.weight", "transformer.ln_f.bias"),
    ):
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
        peaks = {
            id(weight): group["peak"]
            for group in build_optimizer(model, nn.Module(), settings).param_groups
            for weight in group["params"]
        }
        found = [peaks[id(model.get_parameter(n))] for n in (above, layer.format(1), layer.format(0), below)]
        assert found == [1.0, 0.5, 0.25, 0.125], folder
