"""Which database is meant, and what a person reads when it does not work: one line, what to do, no password."""

import socket
import traceback

import psycopg
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.database import (
    ADMIN,
    PIPELINE,
    PIPELINE_ROLE,
    admin_url,
    connect,
    dagster_url,
    is_embedded,
    pipeline_url,
)

PLANTED = "hunter2-planted"


@pytest.fixture
def closed_port():
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]  # bound, never listening


@pytest.fixture
def guarded(server, admin, admin_url):
    """A URL whose role must give a password; embedded roles need none otherwise."""
    rules = embedded_postgres.data_folder(server) / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all guarded scram-sha-256\n" + before)
    admin.execute("create role guarded login password 'right'")
    admin.execute("select pg_reload_conf()")
    yield admin_url.replace("//postgres@", "//guarded:{}@")
    rules.write_text(before)
    admin.execute("drop role guarded")


def message(url, **settings):
    with pytest.raises(RlhfError) as caught:
        connect(url, **settings)
    assert "\n" not in str(caught.value)
    assert PLANTED not in repr(caught.value)
    assert caught.value.__cause__ is None  # a traceback would print the cause with it
    return str(caught.value)


def test_our_own_urls_come_from_the_environment(monkeypatch):
    for name in ("SUPABASE_DB_URL", "SUPABASE_ADMIN_DB_URL", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, f"postgresql://somebody@example.org/{name}")
    assert pipeline_url().endswith("/SUPABASE_DB_URL")
    assert admin_url().endswith("/SUPABASE_ADMIN_DB_URL")
    assert dagster_url().endswith("/DAGSTER_POSTGRES_URL")
    assert not is_embedded(admin_url())


def test_without_settings_the_embedded_server_is_meant(server, monkeypatch):
    monkeypatch.setenv("RLHF_HOME", str(server))
    with connect(admin_url()) as admin, connect(dagster_url()) as dagster:
        assert (admin.info.user, admin.info.dbname, dagster.info.dbname) == ("postgres", "app", "dagster")
    assert pipeline_url() == embedded_postgres.url(server, "app", "rlhf_pipeline")
    assert dagster_url().startswith("postgresql+psycopg2://")
    assert is_embedded(admin_url())


@pytest.mark.parametrize("url", ["postgresql://u:hun%zzter2@h/db", "postgresql://u@h/db?password=hun%zzter2"])
def test_asking_whether_a_url_is_embedded_shows_no_password(url):
    with pytest.raises(RlhfError) as caught:
        is_embedded(url)
    assert "zzter2" not in "".join(traceback.format_exception(caught.value))


def test_an_embedded_server_that_does_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_HOME", str(tmp_path))
    for url in (pipeline_url, admin_url, dagster_url):
        with pytest.raises(RlhfError, match="start it with `rlhf up`"):
            url()
    gone = embedded_postgres.url(tmp_path, "app")  # as .env keeps it
    assert "start the embedded one with `rlhf up`" in message(gone)


@pytest.mark.parametrize(
    ("there", "asked"), [("SUPABASE_DB_URL", admin_url), ("SUPABASE_ADMIN_DB_URL", pipeline_url)], ids=["admin", "app"]
)
def test_one_url_of_ours_and_one_embedded_are_never_mixed(server, monkeypatch, there, asked):
    monkeypatch.setenv("RLHF_HOME", str(server))
    monkeypatch.setenv(there, "postgresql://somebody@example.org/app")
    with pytest.raises(RlhfError, match=f"{there} is set but .* is not"):
        asked()


def test_two_urls_that_lead_to_different_servers_are_refused(server, monkeypatch):
    monkeypatch.setenv("RLHF_HOME", str(server))
    monkeypatch.setenv(PIPELINE, embedded_postgres.url(server, "app", PIPELINE_ROLE))
    monkeypatch.setenv(ADMIN, "postgresql://postgres:secret@db.example.org/postgres")
    for asked in (pipeline_url, admin_url):
        with pytest.raises(RlhfError, match="leads to the embedded PostgreSQL, the other one elsewhere") as caught:
            asked()
        assert "secret" not in str(caught.value)


def test_a_connection_works_as_asked(admin_url):
    with connect(admin_url) as connection:
        assert connection.prepare_threshold is None
        assert "connect_timeout=10" in connection.info.dsn
        connection.execute("insert into public.users (email) values ('kept')")
    with pytest.raises(ZeroDivisionError), connect(admin_url) as connection:  # noqa: PT012
        connection.execute("insert into public.users (email) values ('lost')")
        raise ZeroDivisionError
    with connect(admin_url, autocommit=True) as connection:
        assert connection.execute("select email from public.users").fetchall() == [("kept",)]
        assert connection.autocommit
    with connect(admin_url, read_only=True) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("delete from public.users")


def test_unreachable(closed_port, monkeypatch):
    url = f"postgresql://postgres:{PLANTED}@127.0.0.1:{closed_port}/app"
    monkeypatch.setenv("SUPABASE_DB_URL", url)
    text = message(url)
    assert text.startswith("cannot reach the database: ")
    assert text.endswith("; check host and port in SUPABASE_DB_URL, and that the server runs")
    assert str(closed_port) in text
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.replace("://", "+psycopg2://"))
    monkeypatch.delenv("SUPABASE_DB_URL")
    assert "DAGSTER_POSTGRES_URL" in message(url)


def test_wrong_password(guarded):
    with connect(guarded.format("right")) as connection:
        assert connection.info.user == "guarded"
    text = message(guarded.format(PLANTED))
    assert text.startswith("wrong credentials: ")
    assert 'password authentication failed for user "guarded"' in text


def test_no_such_role_and_no_such_database(admin_url):
    text = message(admin_url.replace("//postgres@", f"//nobody:{PLANTED}@"))
    assert text.startswith("wrong credentials: ")
    assert 'role "nobody" does not exist' in text
    text = message(admin_url.replace("/test_", "/nowhere_"))
    assert "does not exist; check the name at the end of the database URL" in text


@pytest.mark.parametrize(
    "url",
    [
        f"https://{PLANTED}.supabase.co",
        f"postgresql://postgres:{PLANTED}@127.0.0.1:port/app",
        f"postgresql://postgres@127.0.0.1/app?pasword={PLANTED}",
        PLANTED,
    ],
)
def test_no_postgres_url(url):
    assert "write postgresql://USER:PASSWORD@HOST:5432/DATABASE" in message(url)


@pytest.mark.parametrize("sign", ["@", "/", "?", "#", "%zz", " "])
def test_a_password_that_must_be_encoded(sign):
    """libpq would take its second half for the host and print it."""
    assert "must be URL-encoded" in message(f"postgresql://postgres:half{sign}{PLANTED}@127.0.0.1/app")


def test_a_password_is_masked_wherever_it_turns_up(monkeypatch, admin_url):
    encoded = f"{PLANTED}%40x"
    for url in (
        admin_url.replace("//postgres@", f"//postgres:{encoded}@").replace("/test_", f"/{encoded}"),
        f"{admin_url.replace('/test_', f'/{PLANTED}')}&password={PLANTED}",
    ):
        assert "***" in message(url)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select * from public.nowhere", 'relation "public.nowhere" does not exist; create it with `rlhf migrate`'),
        ("select nothing from rlhf.feedback", 'column "nothing" does not exist; create it with `rlhf migrate`'),
        ("select * from nowhere.feedback", "create it with `rlhf migrate`"),
        ("select * from public.chats", "permission denied for table chats; SUPABASE_DB_URL is not the role for this"),
    ],
)
def test_what_is_missing_inside_a_block(app_url, monkeypatch, statement, said):
    monkeypatch.setenv("SUPABASE_DB_URL", app_url)
    with pytest.raises(RlhfError) as caught, connect(app_url) as connection:
        connection.execute(statement)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert connection.closed


def test_a_bug_stays_a_bug(app_url):
    with pytest.raises(psycopg.errors.SyntaxError), connect(app_url) as connection:
        connection.execute("selekt")


def test_a_server_that_goes_away_inside_a_block(admin_url, admin):
    def cut_off():
        with connect(admin_url) as connection:
            admin.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
            connection.execute("select 1")

    with pytest.raises(RlhfError, match="cannot reach the database"):
        cut_off()


def test_a_query_that_takes_too_long(admin_url):
    with pytest.raises(RlhfError, match="the database gave up: canceling"), connect(admin_url) as connection:
        connection.execute("set statement_timeout = 1; select pg_sleep(1)")
