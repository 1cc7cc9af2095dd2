"""up, down, migrate and doctor, on an embedded server of their own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from dotenv import dotenv_values

from rlhf_assets.commands.server import embedded_elsewhere
from rlhf_assets.storage import embedded_postgres
from rlhf_assets_tests.commands.runner import rlhf

RLHF = Path(sys.executable).with_name("rlhf")
SETTINGS = ("SUPABASE_DB_URL", "SUPABASE_ADMIN_DB_URL", "DAGSTER_POSTGRES_URL", "DAGSTER_HOME", "RLHF_HOME")


def shell(*command: str | Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command in a shell that has set nothing but these."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run(command, cwd=cwd, env={**kept, **settings}, capture_output=True, text=True)  # noqa: S603


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that a server's own account can reach, as pytest's is not; its server is stopped in the end."""
    folder = Path(tempfile.mkdtemp(prefix="rlhf-test-"))
    yield folder
    shell(RLHF, "down", cwd=folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A folder in which `rlhf up` has run once."""
    with server_folder() as folder:
        (folder / ".env").write_text("# mine\nHF_HUB_OFFLINE='1'\n")
        done = shell(RLHF, "up", cwd=folder)
        assert done.returncode == 0, done.stderr
        yield folder


def test_up_leaves_a_migrated_database_and_an_env_beside_what_stood_there(project: Path) -> None:
    env = dotenv_values(project / ".env")
    assert "# mine" in (project / ".env").read_text()
    assert env["HF_HUB_OFFLINE"] == "1"
    with psycopg.connect(env["SUPABASE_DB_URL"] or "") as connection:
        assert connection.execute("select current_user").fetchone() == ("rlhf_pipeline",)
        assert connection.execute("select count(*) from rlhf.feedback").fetchone() == (0,)
    again = shell(RLHF, "up", cwd=project)
    assert again.returncode == 0
    assert dotenv_values(project / ".env") == env
    assert shell(RLHF, "migrate", cwd=project).stdout == "nothing to do, the database is up to date\n"


def test_plain_dagster_finds_the_storage(project: Path) -> None:
    done = shell(RLHF.with_name("dagster"), "instance", "info", cwd=project)
    assert done.returncode == 0, done.stderr
    assert f"$DAGSTER_HOME: {project / '.rlhf' / 'dagster'}" in done.stdout
    assert "PostgresRunStorage" in done.stdout


def test_a_moved_project_gets_its_own_server_again(project: Path) -> None:
    with server_folder() as folder:
        (folder / ".env").write_text((project / ".env").read_text().replace(str(project), "/gone"))
        done = shell(RLHF, "up", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "/gone" not in (folder / ".env").read_text()
        assert shell(RLHF, "down", cwd=folder).stdout == "the embedded PostgreSQL is stopped\n"
        assert shell(RLHF, "down", cwd=folder).stdout == "the embedded PostgreSQL is not running\n"


@pytest.mark.parametrize(
    "url", ["postgresql://somebody@db.example.org/app", "postgresql://postgres@/app?host=/run/postgresql"]
)
def test_up_starts_nothing_where_all_databases_are_somebodys_own(url: str, tmp_path: Path) -> None:
    own = dict.fromkeys(("SUPABASE_DB_URL", "SUPABASE_ADMIN_DB_URL", "DAGSTER_POSTGRES_URL"), url)
    done = shell(RLHF, "up", cwd=tmp_path, **own)
    assert (done.returncode, done.stdout) == (0, "all three databases are your own; nothing to start\n")
    assert list(tmp_path.iterdir()) == []


def test_up_refuses_half_an_assistant(tmp_path: Path) -> None:
    done = shell(RLHF, "up", cwd=tmp_path, SUPABASE_ADMIN_DB_URL="postgresql://somebody@db.example.org/app")
    assert done.returncode == 1
    assert "SUPABASE_ADMIN_DB_URL is set but SUPABASE_DB_URL is not" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_migrate_on_a_database_without_the_assistants_tables(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_ADMIN_DB_URL", empty_url)
    result = rlhf("migrate")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "migrations/local/baseline.sql" in result.stderr


@pytest.mark.usefixtures("settings")
def test_doctor_says_what_is_wrong_and_exits_1_only_then(
    admin: psycopg.Connection, dagster_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    well = rlhf("doctor", "--json")
    report = json.loads(well.stdout)
    assert (well.exit_code, report["ok"]) == (0, True), report
    assert "no daemon runs" in next(one["detail"] for one in report["findings"] if one["name"] == "automation")
    assert [one["ok"] for one in report["findings"] if one["name"] == "alerts"] == [None]
    for url, ok in (("hooks.example.com/typo", False), ("https://hooks.example.com/secret", True)):
        monkeypatch.setenv("RLHF_ALERT_WEBHOOK", url)
        told = json.loads(rlhf("doctor", "--json").stdout)["findings"]
        assert [one["ok"] for one in told if one["name"] == "alerts"] == [ok]
        assert url not in str(told)
    monkeypatch.delenv("RLHF_ALERT_WEBHOOK")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("RLHF_ARTIFACTS", "gs://bucket/rlhf")
        told = {one["name"]: one for one in json.loads(rlhf("doctor", "--json").stdout)["findings"]}
        assert (told["artifacts"]["ok"], told["history"]["ok"]) == (False, None)
        assert "gcsfs" in told["artifacts"]["detail"]
        assert "RLHF_ARTIFACTS" in told["artifacts"]["mend"]
    admin.execute("drop table public.rlhf_training_runs cascade")
    ill = rlhf("doctor")
    assert ill.exit_code == 1
    assert "rlhf_training_runs" in ill.stdout
    assert "rlhf migrate" in ill.stdout
    assert "…" not in ill.stdout, "something is cut in 80 columns"


def test_settings_copied_from_a_project_beside_this_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = embedded_postgres.url(Path("/another/.rlhf"), "dagster").replace("://", "+psycopg2://")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", beside)
    monkeypatch.setenv("SUPABASE_DB_URL", "postgresql://somebody@db.example.org/postgres")
    assert embedded_elsewhere([]) == ["DAGSTER_POSTGRES_URL"]
    assert embedded_elsewhere(["DAGSTER_POSTGRES_URL"]) == []
