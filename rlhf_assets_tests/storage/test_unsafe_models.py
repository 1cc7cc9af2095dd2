"""Models and checkpoints that would run something when they are loaded: refused in one line, and nothing runs."""

import ast
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import rlhf_assets
from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.chat import load_tokenizer, messages, render
from rlhf_assets.policy.weights import load_policy
from rlhf_assets.reward.loading import load_classifier
from rlhf_assets.storage.checkpoint import kept
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

ROOT = Path(rlhf_assets.__file__).parent


class Attack:
    """An object whose unpickling makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)


class Victim:
    """A loader with a model that it can load, and the file that an attack on it makes."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder, self.marker = folder / "model", folder / "attacked"
        self.model = (tiny_llama if kind == "policy" else tiny_encoder)(self.folder)
        self.kind = kind
        self.load()

    def load(self) -> None:
        if self.kind == "policy":
            load_policy(self.folder, Compute("cpu", "fp32"))
        else:
            load_classifier(str(self.folder), trained=False)

    def refused(self) -> str:
        with pytest.raises(RlhfError) as caught:
            self.load()
        assert "\n" not in str(caught.value)
        assert not self.marker.exists()
        return str(caught.value)

    def changed(self, name: str, **values: object) -> None:
        file = self.folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    def code(self, file: Path) -> None:
        """Python that makes the marker, and then is what transformers would look for."""
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            f"from pathlib import Path\nPath({str(self.marker)!r}).touch()\n"
            "from transformers import LlamaConfig as C, LlamaForCausalLM as M, PreTrainedTokenizerFast as T\n"
        )


@pytest.fixture(params=["policy", "reward"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Victim:
    return Victim(request.param, tmp_path)


def test_the_attack_is_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Attack(tmp_path / "attacked")))  # noqa: S301
    assert (tmp_path / "attacked").exists()


def test_weights_in_a_pickle_are_refused_and_never_read(victim: Victim) -> None:
    weights = load_file(victim.folder / "model.safetensors")
    (victim.folder / "model.safetensors").unlink()
    pickled = victim.folder / "pytorch_model.bin"
    torch.save(weights, pickled)  # harmless, but a pickle
    assert "save_pretrained" in victim.refused()
    torch.save({"weight": Attack(victim.marker)}, pickled)
    assert "save_pretrained" in victim.refused()
    pickled.write_bytes(pickle.dumps(Attack(victim.marker)))
    assert "save_pretrained" in victim.refused()
    for index in ("pytorch_model.bin.index.json", "model.safetensors.index.json"):
        told = {"metadata": {"total_size": 0}, "weight_map": dict.fromkeys(weights, pickled.name)}
        (victim.folder / index).write_text(json.dumps(told))
        assert "save_pretrained" in victim.refused()


def test_an_adapter_in_a_pickle_is_refused(victim: Victim) -> None:
    told = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj", "query"], "base_model_name_or_path": "nowhere"}
    (victim.folder / "adapter_config.json").write_text(json.dumps(told))
    (victim.folder / "adapter_model.bin").write_bytes(pickle.dumps(Attack(victim.marker)))
    victim.refused()


def test_code_of_the_models_own_never_runs(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "y")  # a person who answers yes to whatever is asked
    victim.code(victim.folder / "own.py")
    victim.code(victim.folder / "custom_generate" / "generate.py")
    automatic = {f"AutoModelFor{task}": "own.M" for task in ("CausalLM", "SequenceClassification")}
    victim.changed("config.json", auto_map={"AutoConfig": "own.C", **automatic})
    victim.load()  # a known architecture: its own code is passed over
    assert not victim.marker.exists()
    victim.changed("config.json", model_type="own")
    assert "code of its own, which is never run" in victim.refused()


def test_a_tokenizers_own_code_never_runs(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "y")
    victim.code(victim.folder / "own.py")
    victim.changed("tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", "own.T"]}, tokenizer_class="Own")
    if victim.kind == "policy":
        assert "code of its own, which is never run" in victim.refused()
    else:  # BERT's tokenizer is known
        victim.load()
    assert not victim.marker.exists()


@pytest.mark.parametrize(
    "reach", ["''.__class__.__mro__[1].__subclasses__()", "cycler.__init__.__globals__.os.getcwd()"]
)
def test_a_chat_template_reaches_nothing_but_the_conversation(reach: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_llama(tmp_path)))
    tokenizer.chat_template = "{{ " + reach + " }}"
    with pytest.raises(RlhfError, match="chat template refuses"):
        render(tokenizer, messages("What pays best?"))


def test_a_pickle_in_the_place_of_a_checkpoint_is_not_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, marker = tmp_path / "week.pt", tmp_path / "attacked"
    attacks: list[Callable[[], object]] = [
        lambda: torch.save({"training": "this", "weights": Attack(marker)}, file),
        lambda: file.write_bytes(pickle.dumps(Attack(marker))),
    ]
    for plant in attacks:
        plant()
        with caplog.at_level(logging.WARNING):
            assert kept(file, "this") is None
        assert "week.pt is damaged; the training starts anew" in caplog.text
        caplog.clear()
    assert not marker.exists()


UNPICKLING = {"pickle.load", "pickle.loads", "joblib.load", "marshal.loads", "pd.read_pickle", "shelve.open"}


def unsafe(source: str) -> list[str]:
    """Calls that could run what a file holds."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        called, said = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        wanted = {"weights_only": "True"} if called == "torch.load" else {}
        if called.startswith("Auto") and called.endswith(".from_pretrained"):
            wanted = {"trust_remote_code": "False"}
            if called.startswith("AutoModel"):
                wanted["use_safetensors"] = "True"
        if called in UNPICKLING or wanted.items() - said.items():
            found.append(ast.unparse(call))
    return found


def test_every_place_that_loads_something_says_that_nothing_may_run() -> None:
    for call in (
        "AutoModel.from_pretrained(x, trust_remote_code=False)",
        "AutoTokenizer.from_pretrained(x)",
        "torch.load(x)",
        "pickle.load(x)",
    ):
        assert unsafe(call) == [call]
    sources = {file: file.read_text() for file in ROOT.rglob("*.py")}
    assert sum(source.count(".from_pretrained(") for source in sources.values()) > 5
    assert {file: calls for file, source in sources.items() if (calls := unsafe(source))} == {}
