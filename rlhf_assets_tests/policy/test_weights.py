import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, GraniteConfig, GraniteForCausalLM, PhiConfig, PhiForCausalLM

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.chat import load_tokenizer
from rlhf_assets.policy.weights import load_policy, plain, refresh, sampling_copy, save_policy, with_lora
from rlhf_assets_tests.policy.conftest import FP32

IDS = torch.tensor([[5, 6, 7, 8]])


def moved(model: torch.nn.Module) -> torch.nn.Module:
    """The model after something happened to everything that learns."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    return model


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_fresh_adapter_changes_nothing_and_is_merged_when_sampled_from_and_saved(
    family: str, request: pytest.FixtureRequest, tmp_path: Path
):
    model, tokenizer = load_policy(request.getfixturevalue(family), FP32)
    before = model(IDS).logits.detach().clone()
    sampler = sampling_copy(model, FP32)
    policy = with_lora(model, rank=2, seed=0)
    assert_close(plain(policy)(IDS).logits, before)
    learned = moved(policy)(IDS).logits
    assert (learned - before).abs().max() > 0.01
    with policy.disable_adapter():
        assert_close(plain(policy)(IDS).logits, before)
    refresh(sampler, policy)
    assert_close(sampler(IDS).logits, learned, atol=1e-5, rtol=1e-4)
    save_policy(policy, tokenizer, tmp_path / "saved")
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert_close(stock(IDS).logits, learned, atol=1e-5, rtol=1e-4)


def test_the_sampling_copy_follows_full_weights_in_its_own_precision(llama: Path):
    model, _ = load_policy(llama, FP32)
    sampler = sampling_copy(model, Compute("cpu", "bf16"))
    assert sampler.dtype == torch.bfloat16
    refresh(sampler, moved(model))
    for ours, theirs in zip(sampler.parameters(), model.parameters(), strict=True):
        assert_close(ours, theirs.bfloat16())


def test_adapters_depend_on_the_seed_alone(llama: Path):
    first = with_lora(load_policy(llama, FP32)[0], rank=2, seed=3)
    torch.rand(1)  # whatever else draws from the global generator
    second = with_lora(load_policy(llama, FP32)[0], rank=2, seed=3)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert_close(a, b)


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(llama: Path, tmp_path: Path):
    model, tokenizer = load_policy(llama, FP32)
    with torch.no_grad():
        next(model.parameters())[0, 0] = torch.nan
    with pytest.raises(RlhfError, match="not finite"):
        save_policy(model, tokenizer, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(RlhfError, match="not finite"):
        load_policy(tmp_path, FP32)


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def narrow(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"][:16].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def empty_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize("spoil", [cut, narrow, empty_tokenizer])
def test_a_spoilt_folder_is_one_clear_line(spoil: Callable[[Path], None], llama: Path, tmp_path: Path):
    folder = shutil.copytree(llama, tmp_path / "copy")
    spoil(folder)
    with pytest.raises(RlhfError, match=r"cannot load the (policy|tokenizer)") as caught:
        load_policy(folder, FP32)
    assert "\n" not in str(caught.value)


def test_a_policy_that_lacks_weights_is_refused(llama: Path, tmp_path: Path):
    folder = shutil.copytree(llama, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(RlhfError, match=r"lacks 1 weights, first model\.norm\.weight"):
        load_policy(folder, FP32)


def test_a_folder_without_a_model_is_one_clear_line(llama: Path, tmp_path: Path):
    load_policy(llama, FP32)[1].save_pretrained(tmp_path)
    with pytest.raises(RlhfError, match="cannot load the policy") as caught:
        load_policy(tmp_path, FP32)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(PhiForCausalLM, PhiConfig), (GraniteForCausalLM, GraniteConfig)],
    ids=["a bias", "a scale"],
)
def test_a_head_that_does_more_than_multiply_is_refused(kind: Any, config: Any, llama: Path, tmp_path: Path):
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"logits_scaling": 4.0} if config is GraniteConfig else {}
    model = kind(config(vocab_size=600, **sizes, **more))
    with torch.no_grad():
        if model.lm_head.bias is not None:
            model.lm_head.bias.normal_()
    model.save_pretrained(tmp_path)
    load_tokenizer(str(llama)).save_pretrained(tmp_path)
    with pytest.raises(RlhfError, match="does more than multiply at its vocabulary head"):
        load_policy(tmp_path, FP32)
