"""The embedded server: starts, survives its starter, keeps its data, and meets no other."""

import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.embedded_postgres import data_folder, own, running, socket_folder, start, stop, url


def value(home: Path, statement: str, database: str = "app") -> object:
    with psycopg.connect(url(home, database)) as connection:
        return connection.execute(statement).fetchone()[0]


def wait_until_gone(process: int) -> None:
    with suppress(ProcessLookupError):
        while True:
            os.kill(process, 0)
            time.sleep(0.05)


def test_it_survives_the_process_that_started_it_and_keeps_its_data(fresh_home):
    home = fresh_home / "deep" / "home"
    (home / "postgres.new").mkdir(parents=True)  # left by one that was cut off
    (home / "postgres.new" / "PG_VERSION").write_text("18")
    script = (
        f"from pathlib import Path; from rlhf_assets.storage.embedded_postgres import start; start(Path({str(home)!r}))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603
    assert running(home)
    assert {value(home, "select current_database()", name) for name in ("app", "dagster")} == {"app", "dagster"}
    with psycopg.connect(url(home, "app")) as connection:
        connection.execute("create table kept as select 7 as number")
    before = value(home, "select pg_postmaster_start_time()")
    start(home)
    assert value(home, "select pg_postmaster_start_time()") == before  # the second start found it running
    stop(home)
    assert not running(home)
    stop(home)
    start(home)
    assert value(home, "select number from kept") == 7


def test_two_homes_side_by_side_and_a_path_too_long_for_a_socket(server, fresh_home):
    long = fresh_home / ("b" * 120) / "it's, a home"
    start(long)
    with psycopg.connect(url(long, "app")) as connection:
        connection.execute("create table here as select 1 as number")
    with psycopg.connect(url(server, "dagster")) as connection:
        assert connection.execute("select to_regclass('here')").fetchone() == (None,)
    assert socket_folder(server) == server.resolve() / "postgres"
    assert len(str(socket_folder(long))) < 30
    stop(long)
    assert running(server)
    socket_folder(long).rmdir()


def test_after_a_kill_many_starters_make_one_server_and_a_broken_one_says_why(fresh_home):
    start(fresh_home)
    postmaster = int((data_folder(fresh_home) / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    wait_until_gone(postmaster)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(start, [fresh_home] * 3))
    assert value(fresh_home, "select count(*) from pg_database where datname in ('app', 'dagster')") == 2
    stop(fresh_home)
    settings = data_folder(fresh_home) / "postgresql.conf"
    settings.write_text(settings.read_text() + "\nmax_connections = nonsense\n")
    with pytest.raises(RlhfError, match=r"failed at pg_ctl: .*contains errors.*; see .*server\.log") as caught:
        start(fresh_home)
    assert "\n" not in str(caught.value)


def test_only_its_own_account_can_reach_it(server):
    socket = socket_folder(server) / embedded_postgres.SOCKET
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(data_folder(server).stat().st_mode) == 0o700
    assert value(server, "show listen_addresses") == ""


def test_a_socket_folder_of_somebody_else_is_refused(fresh_home):
    target = fresh_home / "theirs"
    target.mkdir()
    (fresh_home / "link").symlink_to(target)
    with pytest.raises(RlhfError, match="belongs to another user"):
        own(fresh_home / "link")
