"""Every package that an install brings is pinned, and what is installed here is what is pinned."""

import re
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pins() -> dict[str, str]:
    """Version by name; every line of the file must be a pin of exactly one version."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, exactly, number = line.partition("==")
            assert exactly, line
            assert re.fullmatch(r"[0-9][0-9a-z.]*", number), line
            found[canonicalize_name(name)] = number
    return found


def needed() -> set[str]:
    """All that this project needs here, with its extra `dev`, and all that these need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        one = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if one not in seen:
            seen.add(one)
            theirs = [Requirement(line) for line in distribution(wanted.name).requires or []]
            waiting += [of for of in theirs if applies(of, wanted.extras)]
    return {name for name, _ in seen}


def applies(wanted: Requirement, extras: set[str]) -> bool:
    return wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def wheels_of_weights() -> set[str]:
    (named,) = re.findall(r"--no-deps \\\n\s+(.+)", (ROOT / "Makefile").read_text())
    return set(named.split())


def test_everything_an_install_brings_is_pinned() -> None:
    closure = needed()
    assert {"dagster", "torch", "pytest", "sqlalchemy", "cryptography"} <= closure  # also what others bring
    assert len(wheels_of_weights()) == 2
    assert sorted((closure | wheels_of_weights()) - pins().keys()) == []


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned = pins()
    installed = {name: version(name).partition("+")[0] for name in needed() & pinned.keys()}
    assert {name: found for name, found in installed.items() if found != pinned[name]} == {}


def test_every_install_goes_by_the_pins() -> None:
    for file in (ROOT / "Makefile", *(ROOT / ".github").rglob("*.yml"), *(ROOT / "scripts").glob("*.*")):
        for call in re.findall(r"pip install[^\n\\]*(?:\\\n[^\n\\]*)*", file.read_text()):
            assert "-c constraints.txt" in call, (file, call)
