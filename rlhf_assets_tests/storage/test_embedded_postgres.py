"""The embedded server: starts, survives its starter, keeps its data, and meets no other."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import embedded_postgres as server


@pytest.fixture
def folder():
    """A short folder, stopped and removed afterwards whatever is under it."""
    path = Path(tempfile.mkdtemp(prefix="rlhf-"))
    yield path
    for data in path.rglob("postgres"):
        server.stop(data.parent)
    shutil.rmtree(path)


def value(home: Path, statement: str, database: str = "app") -> object:
    with psycopg.connect(server.url(home, database)) as connection:
        return connection.execute(statement).fetchone()[0]


def test_it_survives_the_process_that_started_it_and_keeps_its_data(folder):
    home = folder / "deep" / "home"
    start = (
        f"from pathlib import Path; from rlhf_assets.storage.embedded_postgres import start; start(Path({str(home)!r}))"
    )
    subprocess.run([sys.executable, "-c", start], check=True, start_new_session=True)  # noqa: S603
    assert server.running(home)
    assert {value(home, "select current_database()", name) for name in ("app", "dagster")} == {"app", "dagster"}
    with psycopg.connect(server.url(home, "app")) as connection:
        connection.execute("create table kept as select 7 as number")
    before = value(home, "select pg_postmaster_start_time()")
    server.start(home)
    assert value(home, "select pg_postmaster_start_time()") == before  # the second start found it running
    server.stop(home)
    assert not server.running(home)
    server.stop(home)
    server.start(home)
    assert value(home, "select number from kept") == 7


def test_two_homes_side_by_side_and_a_path_too_long_for_a_socket(folder):
    short, long = folder / "a", folder / ("b" * 120) / "it's, a home"
    for home in (short, long):
        server.start(home)
        with psycopg.connect(server.url(home, "app")) as connection:
            connection.execute(f"create table here as select {len(str(home))} as length")
    assert [value(home, "select length from here") for home in (short, long)] == [len(str(short)), len(str(long))]
    assert server.socket_folder(short) == short.resolve() / "postgres"
    assert len(str(server.socket_folder(long))) < 30
    server.stop(short)
    assert server.running(long)
    server.stop(long)
    server.socket_folder(long).rmdir()


def test_starters_at_the_same_time_make_one_server(folder):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(server.start, [folder] * 3))
    assert value(folder, "select count(*) from pg_database where datname in ('app', 'dagster')") == 2


def test_only_its_own_account_can_reach_it(folder):
    server.start(folder)
    socket = server.socket_folder(folder) / server.SOCKET
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data_folder(folder).stat().st_mode) == 0o700
    assert value(folder, "show listen_addresses") == ""


def test_a_killed_server_starts_again(folder):
    server.start(folder)
    postmaster = int((server.data_folder(folder) / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, 9)
    while server.running(folder):
        time.sleep(0.01)
    server.start(folder)
    assert value(folder, "select 1") == 1


def test_a_data_folder_that_cannot_start_says_why(folder):
    server.start(folder)
    server.stop(folder)
    settings = server.data_folder(folder) / "postgresql.conf"
    settings.write_text(settings.read_text() + "\nmax_connections = nonsense\n")
    with pytest.raises(
        RlhfError, match=r"failed at pg_ctl: .*(max_connections|contains errors).*; see .*server\.log"
    ) as caught:
        server.start(folder)
    assert "\n" not in str(caught.value)


def test_a_half_made_data_folder_is_made_again(folder):
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18")
    server.start(folder)
    assert not (folder / "postgres.new").exists()


def test_a_socket_folder_of_somebody_else_is_refused(folder):
    target = folder / "theirs"
    target.mkdir()
    (folder / "link").symlink_to(target)
    with pytest.raises(RlhfError, match="belongs to another user"):
        server.own(folder / "link")
