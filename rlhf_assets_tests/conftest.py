"""One PostgreSQL for the whole session and a database of its own for every test that asks for one.

admin_url   a freshly migrated database, as the owner of its tables
app_url     the same database, as rlhf_pipeline
admin       an autocommit connection on admin_url
settings    the same two as SUPABASE_ADMIN_DB_URL and SUPABASE_DB_URL, with RLHF_HOME in tmp_path
empty_url   a database with nothing in it, as superuser
dagster_db  the same in the form Dagster takes
fresh_home  a home for a server of its own; not in tmp_path, which pytest closes to the server's account
"""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import psycopg
import pytest

from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.migrations import local_baseline, migrate

# the same examples in every run of the tests, other and more ones with --hypothesis-profile=faults
QUICK = hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("quick", QUICK)
hypothesis.settings.register_profile("faults", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("quick")

COUNTER = itertools.count()
OURS = (
    "SUPABASE_DB_URL",
    "SUPABASE_ADMIN_DB_URL",
    "DAGSTER_POSTGRES_URL",
    "RLHF_ARTIFACTS",
    "RLHF_FIRST_WEEK",
    "RLHF_GOLD",
    "RLHF_SETTINGS",
    "RLHF_ALERT_WEBHOOK",
)


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_machine() -> Iterator[None]:
    """No test may meet the developer's own databases or home, nor the .env that a demo leaves where the tests start."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as home:
        for name in OURS:
            patch.delenv(name, raising=False)
        patch.setenv("RLHF_HOME", home)
        patch.chdir(home)  # Dagster's code servers take the .env of their folder before the environment
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The home of a running embedded server."""
    home = Path(tempfile.mkdtemp(prefix="rlhf-test-"))
    embedded_postgres.start(home)
    with psycopg.connect(embedded_postgres.url(home, "postgres"), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")  # its data is thrown away
        connection.execute("select pg_reload_conf()")
    yield home
    embedded_postgres.stop(home)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def migrated(server: Path) -> str:
    """Name of the migrated database that the others are copied from; nobody connects to it."""
    with psycopg.connect(embedded_postgres.url(server, "app")) as connection:
        local_baseline(connection)
        migrate(connection)
    return "app"


@pytest.fixture
def admin_url(server: Path, migrated: str) -> Iterator[str]:
    with made(server, f"template {migrated}") as name:
        yield embedded_postgres.url(server, name)


@pytest.fixture
def app_url(admin_url: str) -> str:
    return admin_url.replace("//postgres@", "//rlhf_pipeline@")


@pytest.fixture
def admin(admin_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def settings(admin_url: str, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_ADMIN_DB_URL", admin_url)
    monkeypatch.setenv("SUPABASE_DB_URL", app_url)
    monkeypatch.setenv("RLHF_HOME", str(tmp_path))


@pytest.fixture
def empty_url(server: Path) -> Iterator[str]:
    with made(server) as name:
        yield embedded_postgres.url(server, name)


@pytest.fixture
def dagster_db(empty_url: str) -> str:
    return empty_url.replace("://", "+psycopg2://")


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="rlhf-test-"))
    yield path
    for data in path.rglob("postgres"):
        embedded_postgres.stop(data.parent)
    shutil.rmtree(path)


@contextmanager
def made(home: Path, options: str = "") -> Iterator[str]:
    """A database that lasts as long as the `with` block; gives its name."""
    name = f"test_{next(COUNTER)}"
    with psycopg.connect(embedded_postgres.url(home, "postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} {options}")
        try:
            yield name
        finally:
            connection.execute(f"drop database {name} with (force)")
