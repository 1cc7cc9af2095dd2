"""A deployment as an operator has it, for as long as a program runs: PostgreSQL, feedback, tiny models, and the real
webserver and daemon over the project's own workspace.yaml and dagster.yaml.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import psycopg
from dagster._core.scheduler.instigation import InstigatorTick

import rlhf_assets
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.migrations import local_baseline, migrate
from rlhf_assets_tests.defs.feedback import write_feedback
from rlhf_assets_tests.defs.world import SETTINGS, WEEKS, World, environment, freshly_loaded

PROJECT = Path(rlhf_assets.__file__).parents[1]
BESIDE = ("pyproject.toml", "workspace.yaml", "dagster.yaml", "rlhf_assets")  # what commands find in their folder
VOTES_A_WEEK = 250  # enough for each side of the split
PATIENCE = 1800  # seconds that anything may take, two weekly runs too, on a machine that does other things

Found = TypeVar("Found")


@dataclass
class Deployment(World):
    """A World with processes of its own; `second_url` leads to a database like the assistant's without any votes."""

    folder: Path
    second_url: str
    port: int

    def command(self, name: str, *arguments: str, exits: int = 0, **settings: str) -> None:
        """Run one of the installed commands in the project's folder; AssertionError when it exits otherwise."""
        environment = {**os.environ, **settings}
        with (self.folder / f"{name}.log").open("wb") as log:
            done = subprocess.run(  # noqa: S603
                program(name, *arguments), cwd=self.folder, env=environment, stdout=log, stderr=log, check=False
            )
        if done.returncode != exits:
            raise AssertionError(f"{name} {arguments[0]} exited {done.returncode}: {self.log(name)}")

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """One of the installed commands, with all that it started, for as long as the block takes."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                program(name, *arguments), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            end(process)

    def log(self, name: str) -> str:
        """The end of what that command said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """What the webserver answers over HTTP, as to the UI: the one field that was asked for."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            told = json.load(answer)
        if "errors" in told:
            raise AssertionError(f"the webserver refused: {told['errors'][0]['message']}")
        (found,) = told["data"].values()
        return found

    def ended(self, *runs: str) -> None:
        """Wait until these runs have."""
        known = dg.RunsFilter(run_ids=list(runs))
        until(f"{', '.join(runs)} to end", lambda: all(run.is_finished for run in self.instance.get_runs(known)))


@contextmanager
def served(deployment: Deployment) -> Iterator[None]:
    """The real webserver and daemon, as `make ui` starts them."""
    web = ("-h", "127.0.0.1", "-p", str(deployment.port), "-w", "workspace.yaml")
    with (
        deployment.running("dagster-webserver", *web),
        deployment.running("dagster-daemon", "run", "-w", "workspace.yaml"),
    ):
        until("the webserver", lambda: answers(deployment))
        yield


def answers(deployment: Deployment) -> bool:
    try:
        return bool(deployment.graphql("{ version }"))
    except OSError:
        return False


def program(name: str, *arguments: str) -> list[str]:
    """An installed command, by its path."""
    return [str(Path(sys.executable).with_name(name)), *arguments]


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop it as Ctrl-C would, and whatever it started by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(what: str, found: Callable[[], Found], patience: float = PATIENCE) -> Found:
    """Wait for `found` to be true and return it; TimeoutError names what never came."""
    deadline = time.monotonic() + patience
    while not (value := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.5)
    return value


def ticks_of(deployment: Deployment, name: str) -> Sequence[InstigatorTick]:
    """What a schedule or sensor of that name has done, newest first."""
    states = [state for state in deployment.instance.all_instigator_state() if state.instigator_name == name]
    return [tick for s in states for tick in deployment.instance.get_ticks(s.instigator_origin_id, s.selector_id)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def deployed() -> Iterator[Deployment]:
    """A deployment without webserver and daemon, which the program starts when it wants them."""
    home = Path(tempfile.mkdtemp(prefix="rlhf-faults-"))
    folder = home / "project"  # so that no command meets the .env of the folder that this was started in
    folder.mkdir()
    for name in BESIDE:
        (folder / name).symlink_to(PROJECT / name)
    try:
        embedded_postgres.start(home)
        admin_url = embedded_postgres.url(home, "app")
        with psycopg.connect(embedded_postgres.url(home, "postgres"), autocommit=True) as connection:
            connection.execute("alter system set fsync = off")  # its data is thrown away
            connection.execute("select pg_reload_conf()")
            connection.execute("create database second")
        for database in ("app", "second"):
            with psycopg.connect(embedded_postgres.url(home, database)) as connection:
                local_baseline(connection)
                migrate(connection)
        with psycopg.connect(admin_url) as connection:
            write_feedback(connection, dict.fromkeys(WEEKS, VOTES_A_WEEK))
        with freshly_loaded(settings_of(home, admin_url)), dg.DagsterInstance.get() as instance:
            yield Deployment(
                instance=instance,
                store=ArtifactStore(str(home / "artifacts")),
                app_url=os.environ["SUPABASE_DB_URL"],
                admin_url=admin_url,
                folder=folder,
                second_url=embedded_postgres.url(home, "second", "rlhf_pipeline"),
                port=free_port(),
            )
    finally:
        embedded_postgres.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def settings_of(home: Path, admin_url: str) -> Mapping[str, str]:
    """The environment of everything that runs in the deployment."""
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").symlink_to(PROJECT / "dagster.yaml")
    return {
        **environment(home, embedded_postgres.url(home, "app", "rlhf_pipeline"), admin_url, SETTINGS),
        "DAGSTER_HOME": str(dagster_home),
        "DAGSTER_POSTGRES_URL": embedded_postgres.url(home, "dagster").replace("://", "+psycopg2://", 1),
        "OMP_NUM_THREADS": "1",  # tiny models gain nothing from a second core, which the others want
    }
