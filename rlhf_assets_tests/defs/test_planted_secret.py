"""A deployment whose every URL carries a password, put to work well and badly: it stands nowhere else afterwards."""

import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import psycopg
import pytest

from rlhf_assets.storage.database import ADMIN, DAGSTER, PIPELINE
from rlhf_assets.storage.environment import write_env
from rlhf_assets.webhook import WEBHOOK
from rlhf_assets_tests.commands.runner import json_lines, rlhf
from rlhf_assets_tests.defs.feedback import write_feedback
from rlhf_assets_tests.defs.ui import accepts, ask, listening, ui, until
from rlhf_assets_tests.defs.world import LAST, SETTINGS, environment, freshly_loaded
from rlhf_assets_tests.remote_server import RemoteServer, free_port, remote_server
from rlhf_assets_tests.secret_search import SECRET, WRONG, in_database, in_files, traces

EVERYTHING = """{
  instance { info daemonHealth { allDaemonStatuses { daemonType lastHeartbeatErrors { message } } } }
  workspaceOrError { ... on Workspace { locationEntries { name displayMetadata { key value } locationOrLoadError {
    __typename ... on PythonError { message stack } } } } }
  runsOrError { ... on Runs { results { runId status tags { key value } runConfigYaml
    eventConnection { events { __typename ... on MessageEvent { message } } } } } }
}"""


@dataclass
class Deployment:
    """What it left: its folder, the databases as superuser, and what was said at the console by what was done."""

    folder: Path
    remote: RemoteServer
    said: dict[str, str] = field(default_factory=dict)
    addresses: set[str] = field(default_factory=set)  # on which the webserver listened

    def superusers(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.remote.socket))}&port={self.remote.plain}"

    def do(self, *command: object, stdin: str | None = None, exit_code: int = 0, **settings: str) -> str:
        """An `rlhf` command that must end so, with these settings for once."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            result = rlhf(*command, stdin=stdin)
        what = f"{' '.join(map(str, command))} {sorted(settings)}"
        self.said[what] = self.said.get(what, "") + result.output
        assert result.exit_code == exit_code, (what, result.output)
        return result.output

    def wrong(self, name: str) -> str:
        return os.environ[name].replace(quote(SECRET, safe=""), quote(WRONG, safe=""))

    def unreachable(self, name: str) -> str:
        return os.environ[name].replace(f":{self.remote.door}/", f":{free_port()}/")


@contextmanager
def console(file: Path) -> Iterator[None]:
    """What anything, in this process or started by it, writes to the console goes to that file."""
    kept = [os.dup(number) for number in (1, 2)]
    with file.open("wb") as target:
        for number in (1, 2):
            os.dup2(target.fileno(), number)
        try:
            yield
        finally:
            for number, before in zip((1, 2), kept, strict=True):
                os.dup2(before, number)
                os.close(before)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("planted")
    with remote_server("app", "dagster") as remote, pytest.MonkeyPatch.context() as patch:
        found = Deployment(folder, remote)
        remote.owner.execute(f"alter role rlhf_pipeline password '{SECRET}'")
        remote.owner.execute(f"create role chief superuser login password '{SECRET}'")
        remote.owner.execute(f"create role keeper login password '{SECRET}'")
        remote.owner.execute("alter database dagster owner to keeper")
        with psycopg.connect(found.superusers("app")) as connection:
            write_feedback(connection, {LAST: 250})
        tls = {"sslmode": "verify-full", "sslrootcert": remote.root}
        secrets = {
            PIPELINE: remote.url("rlhf_pipeline", SECRET, "app", **tls),
            ADMIN: remote.url("chief", SECRET, "app", **tls),
            DAGSTER: remote.url("keeper", SECRET, "dagster", **tls).replace("://", "+psycopg2://"),
            WEBHOOK: f"http://127.0.0.1:{free_port()}/hook/{quote(SECRET)}",
        }
        write_env(folder / ".env", secrets)
        settings = environment(folder, secrets[PIPELINE], secrets[ADMIN], SETTINGS)
        settings |= {**secrets, "RLHF_FIRST_WEEK": LAST, "DAGSTER_HOME": str(folder / "dagster")}
        patch.chdir(folder)
        with freshly_loaded(settings), console(folder / "console.log"):
            well(found)
            badly(found)
            by_daemon_and_webserver(found)
            found.said["alerts"] = alerted()  # of the run that failed there
        yield found


def well(done: Deployment) -> None:
    for command in (("up",), ("migrate",), ("doctor",)):
        done.do(*command)
    line = {"query": "How do I save on heat?", "response": "Seal the windows first.", "feedback_score": 4}
    done.do("import", "-", stdin=json_lines(line))
    done.do("backfill", "--from", LAST, "--to", LAST, "--local", "--json")
    done.do("audit")
    done.do("train", "reward", "--json")
    done.do("score", stdin=json_lines(line))
    done.do("runs", "--reconcile")
    done.do("runs", "--json")
    done.do("gc", "--dry-run")


def badly(done: Deployment) -> None:
    raw = f"postgresql://rlhf_pipeline:{SECRET}@127.0.0.1:{done.remote.door}/app"
    extract = ("backfill", "--from", LAST, "--to", LAST, "--assets", "raw_step_feedback", "--local")
    for url in (done.wrong(PIPELINE), done.unreachable(PIPELINE), raw):
        done.do("runs", exit_code=1, **{PIPELINE: url})
    done.do("doctor", "--json", exit_code=1, **{PIPELINE: done.wrong(PIPELINE), DAGSTER: raw})
    for url in (done.wrong(ADMIN), done.unreachable(ADMIN)):
        done.do("migrate", exit_code=1, **{ADMIN: url})
    for url in (done.wrong(DAGSTER), done.unreachable(DAGSTER), raw):
        done.do(*extract, exit_code=1, **{DAGSTER: url})
    done.do("up", exit_code=1, **{DAGSTER: raw})
    with taken_away(done):
        done.do(*extract)  # tried again after a moment


@contextmanager
def taken_away(done: Deployment) -> Iterator[None]:
    """The pipeline's first connection waits for a table, and is ended while it waits."""

    def end() -> None:
        waiting = (
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where usename = 'rlhf_pipeline' and wait_event_type = 'Lock'"
        )
        with psycopg.connect(done.superusers("app")) as holding:
            holding.execute("lock table public.chat_feedback in access exclusive mode")
            locked.set()
            until(lambda: done.remote.owner.execute(waiting).fetchall(), "the pipeline to wait")

    locked = threading.Event()
    thread = threading.Thread(target=end)
    thread.start()
    locked.wait()
    yield
    thread.join()


def alerted() -> str:
    """What a tick of the alerts says whose webhook is nowhere, and one that is none."""
    from rlhf_assets.commands.instance import open_instance
    from rlhf_assets.defs.automation.alerts import alerts
    from rlhf_assets.defs.resources import Artifacts

    said = ""
    cursor = json.dumps({"begun": 0, "seen": 0, "told": [], "off": []})
    for url in (os.environ[WEBHOOK], f"http://127.0.0.1/a hook/{SECRET}", f"http://hook:{SECRET}@127.0.0.1/"):
        with pytest.MonkeyPatch.context() as patch, open_instance() as instance:
            patch.setenv(WEBHOOK, url)
            with (
                dg.build_sensor_context(instance, cursor=cursor, resources={"artifacts": Artifacts()}) as context,
                pytest.raises(dg.Failure) as failed,
            ):
                alerts.evaluate_tick(context)
        said += f"{failed.value.description}\n{failed.getrepr(style='long', showlocals=False)}\n"
    return said


def by_daemon_and_webserver(done: Deployment) -> None:
    """Both hold the right URLs, but the server knows another password by now."""
    from rlhf_assets.defs.automation.launch import LAUNCH

    done.remote.owner.execute("alter role rlhf_pipeline password 'changed meanwhile'")
    weeks = {"ranges": [{"start": LAST, "end": LAST}]}
    wanted = {"partitionsByAssets": [{"assetKey": {"path": ["raw_step_feedback"]}, "partitions": weeks}]}
    failures = [
        "select from job_ticks where status = 'FAILURE'",
        "select from runs where status = 'FAILURE' and run_body like '%dagster/backfill%'",
    ]
    with ui(done.folder) as port, psycopg.connect(done.superusers("dagster"), autocommit=True) as connection:
        until(lambda: accepts(port), "the webserver")
        done.addresses = listening(port)
        assert "backfillId" in ask(port, LAUNCH, params=wanted)
        for failed in failures:
            until(lambda failed=failed: connection.execute(failed).fetchall(), failed)
        done.said["graphql"] = ask(port, EVERYTHING)


def test_the_search_finds_it_in_every_form(tmp_path: Path, dagster_db: str) -> None:
    import base64

    for form in (SECRET, quote(SECRET, safe=""), SECRET.partition("@")[2], WRONG):
        assert traces(f"no connection to {form}".encode())
    for before in ("", "u:", "user:", "postgres:"):
        assert traces(base64.b64encode(f"{before}{SECRET}@host".encode()))
    assert not traces(b"nothing of it")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "note").write_text(f"see {SECRET}")
    (tmp_path / ".env").write_text(SECRET)
    assert in_files(tmp_path, {".env"}) == ["a/note"]
    url = dagster_db.replace("+psycopg2", "")
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table packed (body bytea); create table plain (body jsonb); create table other (id int)"
        )
        connection.execute("insert into packed values (%s)", [zlib.compress(SECRET.encode())])
        connection.execute("insert into plain values (%s)", [json.dumps({"url": SECRET})])
    assert sorted(in_database(url)) == ["public.packed", "public.plain"]


def test_nothing_that_was_said_holds_it(deployment: Deployment) -> None:
    assert [what for what, said in deployment.said.items() if traces(said.encode())] == []
    told = "\n".join(deployment.said.values())
    for happened in (
        "wrong credentials",
        "cannot reach the database",
        "must be URL-encoded",
        "the webhook cannot be reached",
        "password authentication failed",
    ):
        assert happened in told
    assert json.loads(deployment.said["graphql"])["data"]["runsOrError"]["results"]


def test_no_file_holds_it_but_env(deployment: Deployment) -> None:
    assert in_files(deployment.folder, {".env"}) == []
    names = {file.name for file in deployment.folder.rglob("*")}
    assert {"console.log", "dagster-daemon.log", "card.json", "model.safetensors", "report.html"} <= names
    assert list((deployment.folder / "dagster" / "storage").rglob("*.err"))  # compute logs of the run that failed
    assert (deployment.folder / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("database", ["app", "dagster"])
def test_no_row_holds_it(deployment: Deployment, database: str) -> None:
    assert in_database(deployment.superusers(database)) == []
    happened = {
        "app": ["select from rlhf_training_runs where training_status = 'completed'"],
        "dagster": [
            "select from job_ticks where status = 'FAILURE' and tick_body like '%wrong credentials%'",
            "select from event_logs where event like '%terminating connection%'",
        ],
    }
    with psycopg.connect(deployment.superusers(database)) as connection:
        for question in happened[database]:
            assert connection.execute(question).fetchall()


def test_the_webserver_listens_on_this_machine_alone(deployment: Deployment) -> None:
    assert deployment.addresses == {"0100007F"}  # 127.0.0.1 as the kernel writes it
