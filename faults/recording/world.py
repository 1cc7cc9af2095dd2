"""What the recorder is harmed in: PostgreSQL for the assistant, another for Dagster, small models, a real daemon."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import psycopg

from rlhf_assets.commands.instance import CONFIGURATION
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.migrations import local_baseline, migrate

PROJECT = Path(__file__).parents[2]
PATIENCE = 300  # seconds that a daemon may take for a few ticks; it makes one each half minute

COPY = (
    """
    insert into runs (run_id, snapshot_id, pipeline_name, status, run_body, create_timestamp, update_timestamp)
    select made, snapshot_id, pipeline_name, status, replace(run_body, run_id, made), create_timestamp, update_timestamp
    from runs, unnest(%(made)s::text[]) as made where run_id = %(run)s
    """,
    """
    insert into event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    select made, replace(event, run_id, made), dagster_event_type, timestamp, step_key, asset_key, partition
    from event_logs, unnest(%(made)s::text[]) as made where run_id = %(run)s order by made, id
    """,
)

Row = dict[str, Any]
Expected = tuple[str, str, str]  # model type, Dagster's run, status


@dataclass
class World:
    """Databases, artifacts and a Dagster of one check's own; `cursor` is what the daemon would keep."""

    assistant: Path  # home of the server with the assistant's database
    dagster: Path  # home of the server with Dagster's
    name: str  # of both databases
    folder: Path
    instance: dg.DagsterInstance
    cursor: str | None = None
    seen: list[str] = field(default_factory=list)  # what ticks failed with

    def tick(self) -> bool:
        """One evaluation of the sensor; where it fails, the cursor stays, as with the daemon."""
        from rlhf_assets.defs.resources import Artifacts, Database
        from rlhf_assets.defs.training_runs import recorder

        resources = {"database": Database(), "artifacts": Artifacts()}
        try:
            with dg.build_sensor_context(self.instance, cursor=self.cursor, resources=resources) as context:
                self.cursor = recorder.training_run_recorder.evaluate_tick(context).cursor
        except Exception as error:  # whatever it is, the daemon goes on
            self.seen.append(f"{type(error).__name__}: {error}")
            return False
        return True

    def settle(self) -> None:
        """Tick until no event is new."""
        before: int | None = None
        while self.event != before:
            before = self.event
            if not self.tick():
                raise RuntimeError(self.seen[-1])

    @property
    def event(self) -> int:
        return int((self.cursor or "-1").partition(" ")[0])

    def rows(self) -> list[Row]:
        """The table, but for the moments at which the database wrote it."""
        with psycopg.connect(embedded_postgres.url(self.assistant, self.name)) as connection:
            found = connection.execute("select to_jsonb(t) - 'created_at' from rlhf_training_runs as t order by id")
            return [row for (row,) in found]

    def copies(self, run_id: str, number: int) -> list[str]:
        """That run's record and events as many times again, as if all had run; their ids."""
        made = [str(uuid.uuid4()) for _ in range(number)]
        with psycopg.connect(embedded_postgres.url(self.dagster, self.name)) as connection:
            for statement in COPY:
                connection.execute(statement, {"run": run_id, "made": made})
        return made

    def dagster_says(self, query: str) -> list[tuple[Any, ...]]:
        """An answer of Dagster's own database; none to a statement that asks nothing."""
        with psycopg.connect(embedded_postgres.url(self.dagster, self.name), autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def servers() -> Iterator[Callable[[], Any]]:
    """Two servers for all checks; gives what makes a World for one of them, as a context."""
    home = Path(tempfile.mkdtemp(prefix="rlhf-faults-"))
    assistant, dagster = home / "assistant", home / "dagster"
    try:
        for server in (assistant, dagster):
            embedded_postgres.start(server)
            ask(server, "alter system set fsync = off", "select pg_reload_conf()")  # its data is thrown away
        with psycopg.connect(embedded_postgres.url(assistant, "app")) as connection:
            local_baseline(connection)
            migrate(connection)
        with around(assistant, dagster, home / "first", "dagster", "app"):
            pass  # Dagster makes its tables, from which each check's are copied
        yield lambda: world(assistant, dagster, home)
    finally:
        for server in (assistant, dagster):
            embedded_postgres.stop(server)
        shutil.rmtree(home)


@contextmanager
def world(assistant: Path, dagster: Path, home: Path) -> Iterator[World]:
    name = f"check_{uuid.uuid4().hex[:8]}"
    ask(assistant, f"create database {name} template app")
    ask(dagster, f"create database {name} template dagster")
    with (
        around(assistant, dagster, home / name, name, name) as instance,
        patch("rlhf_assets.defs.training_runs.recorder.REREAD", 0),  # what is read twice by the way saves no check
    ):
        yield World(assistant, dagster, name, home / name, instance)


@contextmanager
def around(assistant: Path, dagster: Path, folder: Path, storage: str, app: str) -> Iterator[dg.DagsterInstance]:
    """The environment of everything that runs there, and its Dagster, by the project's own dagster.yaml."""
    (folder / "dagster").mkdir(parents=True)
    (folder / "dagster" / CONFIGURATION.name).symlink_to(CONFIGURATION)
    environment = {
        "SUPABASE_ADMIN_DB_URL": embedded_postgres.url(assistant, app),
        "SUPABASE_DB_URL": embedded_postgres.url(assistant, app, "rlhf_pipeline"),
        "DAGSTER_POSTGRES_URL": embedded_postgres.url(dagster, storage).replace("://", "+psycopg2://", 1),
        "DAGSTER_HOME": str(folder / "dagster"),
        "RLHF_HOME": str(folder),
        "RLHF_ARTIFACTS": str(folder / "artifacts"),
        "PYTHONPATH": str(PROJECT),
    }
    with patch.dict(os.environ, environment), dg.DagsterInstance.get() as instance:
        yield instance


def ask(server: Path, *statements: str) -> None:
    with psycopg.connect(embedded_postgres.url(server, "postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def daemon(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster's daemon with the recorder's code server, which it takes with it when it is killed."""
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "faults.recording.location"]
    with (world.folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=world.folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        killed(process)


def killed(process: subprocess.Popen[bytes]) -> None:
    """Gone at once, with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(what: str, found: Callable[[], object]) -> None:
    """Wait for it; TimeoutError says what never came."""
    deadline = time.monotonic() + PATIENCE
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.5)


def differences(rows: Iterable[Row], expected: Iterable[Expected]) -> list[str]:
    """What is lost, double or untrue in the table, where these trainings are what there was."""
    found = Counter((row["model_type"], row["metrics"]["dagster_run_id"], row["training_status"]) for row in rows)
    wanted = Counter(expected)
    missing, surplus = wanted - found, found - wanted
    return [
        *told("missing", missing, wanted.total()),
        *told("double" if set(surplus) <= set(wanted) else "untrue", surplus, found.total()),
    ]


def told(what: str, trainings: Counter[Expected], of: int) -> list[str]:
    kinds = Counter(f"{model} {status}" for model, _, status in trainings.elements())
    return [f"{what}: {number} {kind} of {of} rows" for kind, number in kinds.items()]


def changes(before: list[Row], after: list[Row]) -> list[str]:
    """In what a table differs from what it was."""
    was, now = ({row["id"]: row for row in rows} for rows in (before, after))
    lost, new = was.keys() - now.keys(), now.keys() - was.keys()
    other = Counter(
        f"another {name} of {row['model_type']}"
        for key, row in was.items()
        for name in row
        if key in now and now[key][name] != row[name]
    )
    gone = [f"{len(ids)} rows {what}" for ids, what in ((lost, "missing"), (new, "new")) if ids]
    return [*gone, *(f"{times} times {what}" for what, times in other.items())]
