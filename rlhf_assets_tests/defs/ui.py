"""Daemon and webserver as `make ui` starts them, and what may be asked of them."""

import json
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rlhf_assets
from rlhf_assets_tests.remote_server import free_port

ROOT = Path(rlhf_assets.__file__).parents[1]
BIN = Path(sys.executable).parent
PATIENCE = 240  # seconds


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.5)


@contextmanager
def ui(folder: Path) -> Iterator[int]:
    """Daemon and webserver, with the words of the Makefile; gives the webserver's port."""
    recipe, port = (ROOT / "Makefile").read_text(), free_port()
    started = []
    for program in ("dagster-daemon", "dagster-webserver"):
        (words,) = re.findall(rf"\$\(BIN\)/{program} (.*) &", recipe)
        command = words.replace("$(PORT)", str(port)).replace("workspace.yaml", str(ROOT / "workspace.yaml"))
        with (folder / f"{program}.log").open("wb") as log:
            started.append(
                subprocess.Popen([BIN / program, *shlex.split(command)], cwd=folder, stdout=log, stderr=log)  # noqa: S603
            )
    try:
        yield port
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(PATIENCE)


def ask(port: int, query: str, **variables: object) -> str:
    """What the webserver answers."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return answer.read().decode()


def listening(port: int) -> set[str]:
    """The addresses on which this machine listens on that port, as the kernel writes them."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == port}


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
