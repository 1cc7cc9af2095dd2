"""Commands around the databases: start and stop the embedded one, migrate, and check that everything is in place."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import typer

from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.errors import RlhfError
from rlhf_assets.printable import printable

if TYPE_CHECKING:
    from rlhf_assets.storage.doctor import Finding

log = logging.getLogger(__name__)


def up() -> None:
    """Start the embedded PostgreSQL, migrate it and write .env.

    .env tells plain dagster commands where the storage is. With SUPABASE_DB_URL and SUPABASE_ADMIN_DB_URL set, the
    embedded PostgreSQL serves Dagster alone; with DAGSTER_POSTGRES_URL set too, nothing is started. Only `rlhf
    migrate` changes a database of your own.

    \b
    Example:  rlhf up
              dagster asset list -m rlhf_assets.definitions
    """
    embedded = bring_up()
    if others := embedded_elsewhere(embedded):
        log.warning(
            "%s of .env lead to the embedded PostgreSQL of another folder; if this one was copied from there, delete "
            "these lines and run `rlhf up` again",
            ", ".join(others),
        )
    if embedded:
        typer.echo(f"the embedded PostgreSQL is up; .env says where: {', '.join(embedded)}")
    else:
        typer.echo("all three databases are your own; nothing to start")


def bring_up() -> list[str]:
    """Start and migrate the embedded server for every database that no setting names, and write .env.

    The settings hold for this process too; returns their names.
    """
    from rlhf_assets.commands.instance import dagster_home
    from rlhf_assets.storage import embedded_postgres as server
    from rlhf_assets.storage.database import ADMIN, DAGSTER, PIPELINE, PIPELINE_ROLE, admin_url, parts, pipeline_url
    from rlhf_assets.storage.environment import write_env
    from rlhf_assets.storage.home import home

    urls = {
        PIPELINE: server.url(home(), "app", PIPELINE_ROLE),
        ADMIN: server.url(home(), "app"),
        DAGSTER: server.url(home(), "dagster").replace("://", "+psycopg2://", 1),
    }
    for name in urls:
        parts(os.environ.get(name, ""))  # Dagster's own programs would tell half of a password that is not encoded
    own = {name: url for name, url in urls.items() if not _is_elsewhere(os.environ.get(name), url)}
    if PIPELINE not in own and not os.environ.get(ADMIN):
        del own[ADMIN]  # of a database of one's own, and nothing but `rlhf migrate` and `rlhf import` needs its owner
    if not own:
        return []
    if (PIPELINE in own) != (ADMIN in own):
        pipeline_url(), admin_url()  # one of them says what is wrong
    server.start(home())
    if ADMIN in own:
        apply_migrations(own[ADMIN])
    os.environ.update(own)
    if DAGSTER in own:
        os.environ["DAGSTER_HOME"] = own["DAGSTER_HOME"] = str(home() / "dagster")
    dagster_home()
    write_env(Path(".env"), own)
    return list(own)


def embedded_elsewhere(here: list[str]) -> list[str]:
    """The settings, but those that lead here, which name an embedded server: that of a project beside this one."""
    from rlhf_assets.storage.database import ADMIN, DAGSTER, PIPELINE

    named = {name: os.environ.get(name, "") for name in (PIPELINE, ADMIN, DAGSTER) if name not in here}
    return [name for name, url in named.items() if _embedded_folder(url).name == "postgres"]


def _embedded_folder(url: str) -> Path:
    """Where the socket of a URL lies, if it is one's."""
    return Path(unquote(url.partition("?host=")[2]))


def _is_elsewhere(setting: str | None, embedded: str) -> bool:
    """Whether a setting names another database than the embedded one, here or where the project was moved from."""
    if not setting or setting == embedded:
        return False
    database, folder = setting.partition("?host=")[0], _embedded_folder(setting)
    like_ours = folder.name == "postgres" or folder.name.startswith("rlhf-")
    return folder.is_dir() or not like_ours or database != embedded.partition("?host=")[0]


def down() -> None:
    """Stop the embedded PostgreSQL; its data stays.

    \b
    Example:  rlhf down
    """
    from rlhf_assets.storage.embedded_postgres import running, stop
    from rlhf_assets.storage.home import home

    if not running(home()):
        typer.echo("the embedded PostgreSQL is not running")
        return
    stop(home())
    typer.echo("the embedded PostgreSQL is stopped")


def migrate() -> None:
    """Apply the migrations that the database does not have yet.

    Uses SUPABASE_ADMIN_DB_URL, or the embedded PostgreSQL, which also gets the assistant's own tables. A second time
    changes nothing.

    \b
    Example:  rlhf migrate
    """
    from rlhf_assets.storage.database import admin_url

    applied = apply_migrations(admin_url())
    typer.echo("\n".join(applied) if applied else "nothing to do, the database is up to date")


def apply_migrations(url: str) -> list[str]:
    """The names of those that were missing; the embedded server gets the assistant's own tables before them."""
    from rlhf_assets.storage.database import connect, is_embedded
    from rlhf_assets.storage.migrations import local_baseline
    from rlhf_assets.storage.migrations import migrate as apply

    with connect(url) as connection:
        if is_embedded(url):
            local_baseline(connection)
        return apply(connection)


MARKS = {True: "[green]ok[/]", False: "[red]wrong[/]", None: "[yellow]look[/]"}


def doctor(as_json: AsJson = False) -> None:
    """Check that everything is in place, and say how to mend it.

    Looks at databases, tables, roles, models, device and disk, and counts votes that lie in no week. Exits 1 when
    something is wrong; what only deserves a look does not count.

    \b
    Example:  rlhf doctor
              rlhf doctor --json | jq '.findings[] | select(.ok == false)'
    """
    from rlhf_assets.storage.doctor import checkup

    findings = [*checkup(), history(), automation(), alerts()]
    healthy = all(finding.ok is not False for finding in findings)
    if as_json:
        print_json({"ok": healthy, "findings": [vars(finding) for finding in findings]})
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for overflow in ("ellipsis", "ellipsis", "fold"):
            table.add_column(overflow=overflow)  # a long path goes on in the next line
        for finding in findings:
            table.add_row(MARKS[finding.ok], finding.name, escape(printable(finding.detail)))
            if finding.ok is not True and finding.mend:
                table.add_row("", "", f"[bold]{escape(finding.mend)}[/]")
        Console().print(table)
    if not healthy:
        raise typer.Exit(1)


def history() -> "Finding":
    """Whether Dagster knows what the artifact store holds."""
    from rlhf_assets.defs.reindex import unknown_weeks
    from rlhf_assets.defs.resources import Artifacts
    from rlhf_assets.storage.doctor import Finding

    try:
        with open_instance() as instance:
            unknown = unknown_weeks(instance, Artifacts().store)
    except RlhfError:
        return Finding("history", None, "unknown without Dagster's database and the artifacts")
    if unknown:
        weeks = ", ".join(f"{len(weeks)} of {asset}" for asset, weeks in unknown.items())
        said = f"Dagster knows nothing of weeks that are there, as after its database was lost or restored: {weeks}"
        return Finding("history", None, said, "run `rlhf reindex` while no run is under way")
    return Finding("history", True, "Dagster knows all weeks that are there")


def alerts() -> "Finding":
    """Whether anybody is told of what goes wrong."""
    from rlhf_assets.storage.doctor import Finding
    from rlhf_assets.webhook import WEBHOOK

    url = os.environ.get(WEBHOOK)
    if not url:
        return Finding("alerts", None, "nobody is told when a Sunday fails", f"set {WEBHOOK} to a chat's webhook")
    if not url.startswith(("https://", "http://")):
        return Finding("alerts", False, f"{WEBHOOK} is no http URL", "copy the webhook's URL once more")
    return Finding("alerts", True, f"{WEBHOOK} is set")


def automation() -> "Finding":
    """Whether anything starts by itself."""
    from rlhf_assets.defs.automation.failing import failing
    from rlhf_assets.defs.automation.launch import daemon_alive
    from rlhf_assets.defs.automation.switched_on import switched_off
    from rlhf_assets.storage.doctor import Finding

    try:
        with open_instance() as instance:
            off, fails, alive = switched_off(instance), failing(instance), daemon_alive(instance)
    except RlhfError:
        return Finding("automation", None, "unknown without Dagster's database")
    if off:
        return Finding(
            "automation", None, f"switched off: {', '.join(off)}", "switch it on in the UI, under Automation"
        )
    if fails:
        return Finding("automation", False, "; ".join(f"{name} keeps failing: {why}" for name, why in fails.items()))
    if not alive:
        return Finding("automation", None, "no daemon runs, so nothing starts by itself", "`make ui` starts one")
    return Finding("automation", True, "the daemon runs, the schedule and all sensors are on")
