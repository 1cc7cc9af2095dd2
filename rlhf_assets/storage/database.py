"""Which databases this project talks to, how it connects, and what a failure means to a person."""

import os
import re
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.environment import load_env
from rlhf_assets.storage.home import home
from rlhf_assets.storage.tls import mend_tls

PIPELINE, ADMIN, DAGSTER = "SUPABASE_DB_URL", "SUPABASE_ADMIN_DB_URL", "DAGSTER_POSTGRES_URL"
PIPELINE_ROLE = "rlhf_pipeline"

LACKING = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedObject, errors.InvalidSchemaName)
MENDABLE = (psycopg.OperationalError, errors.InsufficientPrivilege, *LACKING)


def pipeline_url() -> str:
    """The assistant's database as role rlhf_pipeline, which reads feedback and writes training runs."""
    return assistant_url(PIPELINE, ADMIN, PIPELINE_ROLE)


def admin_url() -> str:
    """The assistant's database as the owner of its tables: for migrations, import and the demo."""
    return assistant_url(ADMIN, PIPELINE, "postgres")


def dagster_url() -> str:
    """Dagster's own database, in the form that SQLAlchemy and dagster-postgres take."""
    return os.environ.get(DAGSTER) or embedded_url("dagster", "postgres").replace("://", "+psycopg2://", 1)


def plain_dagster_url() -> str:
    """The same as PostgreSQL's own programs take it, with what `.env` says: for backups."""
    load_env()
    return plain(dagster_url())


def assistant_url(name: str, other: str, user: str) -> str:
    """The setting `name`, else the embedded server, but never one of each."""
    url, others = os.environ.get(name), os.environ.get(other)
    if url and others and is_embedded(url) != is_embedded(others):
        raise RlhfError(
            f"one of {name} and {other} leads to the embedded PostgreSQL, the other one elsewhere; set both for your "
            "own database, neither for the embedded one"
        )
    if others and not url:
        raise RlhfError(
            f"{other} is set but {name} is not; set both for your own database, neither for the embedded one"
        )
    return url or embedded_url("app", user)


def embedded_url(database: str, user: str) -> str:
    if not embedded_postgres.running(home()):
        raise RlhfError(
            f"the embedded PostgreSQL in {home()} is not running; start it with `rlhf up`, or set {PIPELINE}, {ADMIN} "
            f"and {DAGSTER} to databases of your own"
        )
    return embedded_postgres.url(home(), database, user)


def is_embedded(url: str) -> bool:
    """Whether a URL leads to this home's embedded server."""
    return parts(url).get("host") == str(embedded_postgres.socket_folder(home()))


class Connection(psycopg.Connection[Any]):
    """Commits or rolls back and closes at the end of its `with` block; what a person can mend leaves as RlhfError."""

    url = ""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_val, exc_tb)
        if isinstance(exc_val, MENDABLE):
            raise RlhfError(explain(exc_val, self.url)) from exc_val


def connect(url: str, *, autocommit: bool = False, read_only: bool = False) -> Connection:
    """Connect with no prepared statements, which a transaction pooler would lose.

    Raises RlhfError, in one line and without the password, when that fails, and at the end of its `with` block when
    a table, a column or a right was missing inside.
    """
    url = plain(url)
    settings = {"connect_timeout": 10, **parts(url)}
    try:
        connection = Connection.connect(**settings, autocommit=autocommit, prepare_threshold=None)
    except psycopg.Error as error:
        raise RlhfError(explain(error, url)) from None  # the cause's text may hold the password
    connection.url = url
    connection.read_only = read_only
    return connection


def parts(url: str) -> dict[str, Any]:
    """Host, port, user and so on of a URL; RlhfError, without the password, for what is none."""
    url = plain(url)
    check_password(url)
    try:
        return conninfo_to_dict(url)
    except psycopg.Error as error:
        raise RlhfError(explain(error, url)) from None  # the cause's text may hold the password


def written(url: str) -> dict[str, Any]:
    """The same for a message about it; nothing where it cannot be read."""
    try:
        return conninfo_to_dict(url)
    except psycopg.Error:
        return {}


def check_password(url: str) -> None:
    """Refuse a password with characters that would end it early: the rest would turn up in messages as a host."""
    between = re.match(r"[^:/]+://[^:]*:(.*)@", url)
    if between and re.search(r"[@/?#\s]|%(?![0-9a-fA-F]{2})", between[1]):
        raise RlhfError(f"the password in {setting_of(url)} must be URL-encoded, for example @ as %40 and / as %2F")


def explain(error: psycopg.Error, url: str) -> str:
    """What went wrong on this URL and how to mend it: one line, password masked."""
    text, setting = masked(" ".join(str(error).split()), url), setting_of(url)
    if isinstance(error, LACKING):
        return f"the database lacks something: {text.split(' LINE ')[0]}; create it with `rlhf migrate`"
    if isinstance(error, errors.InsufficientPrivilege):
        return f"{text}; {setting} is not the role for this: check it, and run `rlhf migrate`, which grants what is due"
    if advice := mend_tls(text, written(url)):
        return f"no safe connection: {text.partition(' Either provide the file')[0]}; {advice} in {setting}"
    if isinstance(error, psycopg.ProgrammingError) or "invalid integer value" in text:
        return f"{setting} is no Postgres URL; write postgresql://USER:PASSWORD@HOST:5432/DATABASE"
    if error.sqlstate and not error.sqlstate.startswith(("08", "57P")):  # connected, and still there: a full disk, ...
        return f"the database gave up: {text}; its own log says more"
    if re.search(r"password|authentication|role \S+ does not exist|no pg_hba|Tenant or user", text):
        return f"wrong credentials: {text}; check user and password in {setting}"
    if re.search(r"database \S+ does not exist", text):
        return f"{text}; check the name at the end of {setting}"
    if "host=/" in url:
        return f"cannot reach the database: {text}; start the embedded one with `rlhf up`, or check {setting}"
    return f"cannot reach the database: {text}; check host and port in {setting}, and that the server runs"


def setting_of(url: str) -> str:
    """The environment variable that holds this URL, for messages."""
    names = (name for name in (PIPELINE, ADMIN, DAGSTER) if plain(os.environ.get(name, "")) == url)
    return next(names, "the database URL")


def plain(url: str) -> str:
    """A URL without SQLAlchemy's driver, as libpq reads it."""
    return url.replace("+psycopg2://", "://", 1)


def masked(text: str, url: str) -> str:
    """`text` without the password of `url`, written plainly or encoded."""
    written = re.match(r"[^:/]+://[^:@/]*:([^@]*)@", url)
    query = re.search(r"[?& ]password=([^&\s]*)", url)
    for secret in {found[1] for found in (written, query) if found and found[1]}:
        for form in {secret, unquote(secret)}:
            text = text.replace(form, "***")
    return text
