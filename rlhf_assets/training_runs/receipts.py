"""How the recorder finds out that an older backup of the database was restored: a receipt for each of its writings."""

import psycopg


def leave(connection: psycopg.Connection) -> None:
    """A receipt for what this transaction writes."""
    connection.execute("insert into rlhf.recordings default values")


def newest(connection: psycopg.Connection) -> str:
    """The receipt for what was written last; the migration leaves the first, none is there if somebody emptied them."""
    newest = "select receipt::text from rlhf.recordings order by number desc limit 1"
    return str((connection.execute(newest).fetchone() or ("",))[0])


def there(connection: psycopg.Connection, receipt: str) -> bool:
    """Whether all that was written up to this receipt is still in the database, but for what somebody deleted."""
    found = connection.execute("select from rlhf.recordings where receipt = %s::uuid", [receipt])
    return found.fetchone() is not None
