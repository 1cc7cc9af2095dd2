"""Each mode of TLS with the right and the wrong certificate, as the pipeline connects and as Dagster does."""

from collections.abc import Iterator

import pytest
import sqlalchemy

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import doctor
from rlhf_assets.storage.database import DAGSTER, PIPELINE, connect
from rlhf_assets_tests.remote_server import RemoteServer, remote_server

PASSWORD = "pl@nted/secret"  # noqa: S105


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteServer]:
    with remote_server("app") as server:
        server.owner.execute(f"create role somebody login password '{PASSWORD}'")
        yield server


def url_of(remote: RemoteServer, mode: str, root: str, host: str) -> str:
    settings: dict[str, object] = {"hostaddr": "127.0.0.1"}
    if mode:
        settings["sslmode"] = mode
    if root:
        settings["sslrootcert"] = {"right": remote.root, "wrong": remote.other_root}.get(root, root)
    return remote.url("somebody", PASSWORD, "app", **settings).replace("@127.0.0.1:", f"@{host}:")


GOOD = [
    ("", "", "127.0.0.1"),
    ("prefer", "", "127.0.0.1"),
    ("require", "", "127.0.0.1"),
    ("require", "", "db.example.org"),
    ("require", "right", "db.example.org"),
    ("verify-ca", "right", "db.example.org"),
    ("verify-full", "right", "127.0.0.1"),
]
BAD = [
    ("require", "wrong", "127.0.0.1", "not of the CA in sslrootcert"),
    ("verify-ca", "wrong", "127.0.0.1", "not of the CA in sslrootcert"),
    ("verify-full", "wrong", "127.0.0.1", "not of the CA in sslrootcert"),
    ("verify-full", "right", "db.example.org", "the certificate is of another host"),
    ("verify-full", "/nowhere.pem", "127.0.0.1", "name the file of the CA's certificate in sslrootcert"),
    ("verify-full", "system", "127.0.0.1", "not of the CA in sslrootcert"),
    ("safe", "", "127.0.0.1", "sslmode is one of disable, prefer, require, verify-ca and verify-full"),
]


@pytest.mark.parametrize(("mode", "root", "host"), GOOD)
def test_what_is_safe_enough_for_the_mode_connects_by_tls(
    remote: RemoteServer, mode: str, root: str, host: str
) -> None:
    url = url_of(remote, mode, root, host)
    with connect(url) as connection:
        assert connection.pgconn.ssl_in_use
    engine = sqlalchemy.create_engine(url.replace("://", "+psycopg2://"), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connected:
        assert connected.connection.driver_connection.info.ssl_in_use  # type: ignore[union-attr]


@pytest.mark.parametrize(("mode", "root", "host", "said"), BAD)
def test_what_is_not_is_refused_in_a_line_that_says_what_to_write(
    remote: RemoteServer, monkeypatch: pytest.MonkeyPatch, mode: str, root: str, host: str, said: str
) -> None:
    url = url_of(remote, mode, root, host)
    monkeypatch.setenv(PIPELINE, url)
    told = refusal(url)
    assert said in told
    assert told.endswith(f"in {PIPELINE}")
    engine = sqlalchemy.create_engine(url.replace("://", "+psycopg2://"), poolclass=sqlalchemy.NullPool)
    with pytest.raises(sqlalchemy.exc.OperationalError):
        engine.connect()


def refusal(url: str) -> str:
    with pytest.raises(RlhfError) as caught:
        connect(url)
    told = str(caught.value)
    assert told.startswith("no safe connection: ")
    assert "\n" not in told
    assert "secret" not in told
    return told


def test_a_server_that_takes_tls_alone_and_one_that_takes_none(remote: RemoteServer) -> None:
    """The server itself speaks no TLS, and its rules let nobody in without."""
    past_the_door = {mode: url_of(remote, mode, "", "127.0.0.1").replace(str(remote.door), str(remote.plain))
                     for mode in ("", "disable", "require")}  # fmt: skip
    assert "the server takes TLS alone: write sslmode=require" in refusal(past_the_door["disable"])
    with pytest.raises(RlhfError, match=r"wrong credentials: .*; check user and password in"):  # TLS was tried
        connect(past_the_door[""])
    assert "the server takes no TLS: turn it on there" in refusal(past_the_door["require"])


@pytest.mark.parametrize(
    ("mode", "host", "ok"),
    [
        ("", "db.example.org", None),
        ("prefer", "db.example.org", None),
        ("require", "db.example.org", True),
        ("verify-full", "127.0.0.1", True),
        ("", "127.0.0.1", True),
    ],
)
def test_the_doctor_looks_at_a_remote_url_that_may_go_without(
    remote: RemoteServer, monkeypatch: pytest.MonkeyPatch, mode: str, host: str, ok: bool | None
) -> None:
    url = url_of(remote, mode, "right" if mode == "verify-full" else "", host)
    monkeypatch.setenv(DAGSTER, url.replace("://", "+psycopg2://"))
    found = doctor.dagster_database()
    assert found.ok is ok, found
    if not ok:
        assert found.mend.startswith(f"write sslmode=require in {DAGSTER}")
        monkeypatch.setenv("PGSSLMODE", "require")  # which libpq takes where the URL says nothing
        assert doctor.dagster_database().ok is (None if mode else True)
