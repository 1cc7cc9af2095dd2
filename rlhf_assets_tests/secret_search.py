"""A password that is planted everywhere it may stand, and the search for it everywhere it may not."""

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psycopg
from psycopg.sql import SQL, Identifier

# signs that a URL must encode, and a mark in either half: a URL that is cut at the wrong one shows half
MARK = "Hunter2"
SECRET = f"{MARK}pl@nted/{MARK}secret"
WRONG = f"{SECRET}-wrong"


def traces(text: bytes) -> bool:
    """Whether the password shows in it: in plain, percent-encoded, by half, or in base64 at any offset."""
    return MARK.encode() in text or any(form in text for form in encoded())


def encoded() -> Iterator[bytes]:
    """What base64 of any text around the password must hold: the part that hangs on the password alone."""
    for before in range(3):
        whole = base64.b64encode(b"-" * before + SECRET.encode())
        yield whole[4 if before else 0 : -4]


def in_files(folder: Path, known: set[str]) -> list[str]:
    """Files below the folder that hold it, but for the `known` ones."""
    return [
        str(file.relative_to(folder))
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in known and any(map(traces, readings(file)))
    ]


def readings(file: Path) -> Iterator[bytes]:
    """Its bytes, and what is packed in them."""
    yield str(file).encode()
    yield file.read_bytes()
    if file.suffix == ".parquet":
        yield pd.read_parquet(file).to_csv().encode()


def in_database(url: str) -> list[str]:
    """Tables whose rows hold it, read as superuser; Dagster packs some of its columns."""
    found = []
    with psycopg.connect(url) as connection:
        tables = connection.execute("""
            select relnamespace::regnamespace::text, relname from pg_class where relkind in ('r', 'm')
                and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        """).fetchall()
        for schema, table in tables:
            rows = connection.execute(SQL("select * from {}").format(Identifier(schema, table)))
            if any(traces(text) for row in rows for value in row for text in unpacked(value)):
                found.append(f"{schema}.{table}")
    return found


def unpacked(value: object) -> Iterator[bytes]:
    if not isinstance(value, bytes | memoryview):
        yield str(value).encode()
        return
    yield bytes(value)
    try:
        yield zlib.decompress(bytes(value))
    except zlib.error:
        return
