"""The rules of the house, read from the source itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rlhf_assets

ROOT = Path(rlhf_assets.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate"}
MODELS = ("reward", "policy")
TORCH_FREE = ("__init__.py", "settings.py")  # of reward/ and policy/, which defs/ imports
COMMANDS = ("cli.py", "commands")
LOOSE = ("dg.asset", "dg.multi_asset", "dg.sensor", "dg.schedule", "dg.job")


def top_imports(tree: ast.Module) -> Iterator[str]:
    """Modules imported when the file is, outside functions and `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def every_import(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def broken_rules(path: Path, source: str) -> list[str]:
    """What the file at `path` below the package does against rules 1 to 3."""
    tree, folder = ast.parse(source), path.parts[0]
    at_import, anywhere = set(top_imports(tree)), set(every_import(tree))
    broken = []
    if folder not in ("defs", "definitions.py"):
        searched = at_import if folder in COMMANDS else anywhere
        broken += [f"imports {name} outside defs/" for name in searched if name.startswith("dagster")]
    if folder not in MODELS or path.name in TORCH_FREE:
        broken += [f"imports {name} at its top" for name in at_import if name.split(".")[0] in HEAVY]
    if folder not in MODELS:
        broken += [
            f"imports {name} at its top"
            for name in at_import
            if (part := name.split("."))[0] == "rlhf_assets" and part[1:2] and part[1] in MODELS and is_heavy(part)
        ]
    decorated = [ast.unparse(d) for node in tree.body for d in getattr(node, "decorator_list", [])]
    whole = [name for name in decorated if name.startswith("dg.definitions")]
    if len(whole) > 1 or (whole and any(name.startswith(LOOSE) for name in decorated)):
        broken.append("has @dg.definitions beside other definitions, which then vanish")
    return broken


def is_heavy(part: list[str]) -> bool:
    """Whether a module of reward/ or policy/ other than its settings is named."""
    return len(part) > 2 and part[2] != "settings"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_to_its_layer(path: Path) -> None:
    assert broken_rules(path.relative_to(ROOT), path.read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("feedback/clean.py", "import dagster"),
        ("feedback/clean.py", "def f():\n    from dagster_graphql import client"),
        ("cli.py", "import dagster"),
        ("feedback/clean.py", "import torch"),
        ("defs/policy/ppo_policy.py", "from rlhf_assets.policy.ppo import train_ppo"),
        ("defs/policy/ppo_policy.py", "import transformers"),
        ("policy/__init__.py", "import torch"),
        ("reward/settings.py", "from torch import nn"),
        ("defs/resources.py", "@dg.definitions\ndef a(): ...\n@dg.asset\ndef b(): ..."),
    ],
)
def test_a_planted_fault_is_seen(path: str, source: str) -> None:
    assert broken_rules(Path(path), source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("defs/policy/ppo_policy.py", "import dagster as dg\nfrom rlhf_assets.policy.settings import PpoSettings"),
        ("defs/policy/ppo_policy.py", "def f():\n    from rlhf_assets.policy.ppo import train_ppo"),
        ("policy/ppo.py", "import torch"),
        ("compute.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert broken_rules(Path(path), source) == []


def test_the_code_location_loads_without_torch_and_pandas() -> None:
    """The code server loads it at every run and step."""
    code = (
        "import sys; from rlhf_assets.definitions import defs; defs().get_repository_def();"
        "print([name for name in ('torch', 'transformers', 'pandas', 'pyarrow', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
    assert "Warning" not in done.stderr, done.stderr
