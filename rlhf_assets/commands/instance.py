"""Dagster's own storage, as the commands that launch something open it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_assets.errors import RlhfError

if TYPE_CHECKING:
    from dagster import DagsterInstance

CONFIGURATION = Path(__file__).parents[2] / "dagster.yaml"


def dagster_home() -> Path:
    """The folder DAGSTER_HOME where that is set, else `dagster` in the project's home; it gets our dagster.yaml."""
    from rlhf_assets.storage.home import home

    folder = Path(os.environ.get("DAGSTER_HOME") or home() / "dagster")
    link = folder / CONFIGURATION.name
    if not link.exists() or (link.is_symlink() and link.resolve() != CONFIGURATION.resolve()):
        folder.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # one that points to where the project was before, or was copied from
        link.symlink_to(CONFIGURATION)
    return folder


@contextmanager
def open_instance() -> Iterator["DagsterInstance"]:
    """The instance; RlhfError when its database cannot be reached, now or for long in between.

    Meanwhile stdout is stderr: the code servers that Dagster starts print there, and `--json` must stand alone.
    """
    from dagster import DagsterInstance

    from rlhf_assets.storage.database import connect, dagster_url

    url = dagster_url()
    connect(url.replace("+psycopg2", "")).close()  # says in one line what Dagster would say in a hundred
    os.environ["DAGSTER_HOME"], os.environ["DAGSTER_POSTGRES_URL"] = str(dagster_home()), url
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with DagsterInstance.get() as instance:
            yield instance
    except Exception as error:
        if not database_gone(error):
            raise
        raise RlhfError(
            "Dagster's database went away and did not come back in time; what is made is kept, and the same command "
            "goes on once the database is there"
        ) from error
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def database_gone(error: Exception) -> bool:
    """Whether the error is of Dagster's storage, which has tried for some seconds to reach its database again."""
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import OperationalError

    if isinstance(error, OperationalError):  # a full disk or a lock is another story, whose code says so
        code = getattr(error.orig, "pgcode", None)
        return code is None or code.startswith(("08", "57P"))
    return isinstance(error, DagsterPostgresException)
