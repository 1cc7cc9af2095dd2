"""Looks whether everything is in place that the pipeline needs; only finds, the command line shows it."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rlhf_assets.errors import RlhfError
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.database import (
    ADMIN,
    DAGSTER,
    PIPELINE,
    PIPELINE_ROLE,
    admin_url,
    connect,
    dagster_url,
    parts,
    pipeline_url,
    plain,
    setting_of,
)
from rlhf_assets.storage.home import artifact_root, home
from rlhf_assets.storage.migrations import MIGRATIONS
from rlhf_assets.storage.tls import sure_of_tls

RUN_COLUMNS = "id, model_type, training_status, start_time, end_time, metrics, model_path, created_at"
GUARDED = ("chat_feedback", "reasoning_steps", "rlhf_training_runs")
LITTLE_DISK, TOO_LITTLE_DISK = 10e9, 2e9  # bytes; a week's models take about two gigabytes
TRANSACTION_POOLER = "6543"  # Supabase's port for it


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok` is None where a person should only have a look."""

    name: str
    ok: bool | None
    detail: str
    mend: str = ""


def checkup() -> list[Finding]:
    """Look at everything; what cannot be looked at is a finding too, nothing is raised."""
    checks: dict[str, Callable[[], Finding]] = {
        "settings": settings,
        "assistant's database": lambda: reachable("assistant's database", pipeline_url()),
        "admin's database": lambda: reachable("admin's database", admin_url()),
        "Dagster's database": dagster_database,
        "migrations": migrations,
        "feedback": feedback,
        "training runs": training_runs,
        "role": role,
        "row-level security": row_level_security,
        "weeks": weeks,
        "reward base model": lambda: model("reward base model"),
        "policy base model": lambda: model("policy base model"),
        "artifacts": artifacts,
        "device": device,
        "disk": disk,
    }
    findings: dict[tuple[str, str], Finding] = {}
    return [told_once(examined(name, check), findings) for name, check in checks.items()]


def told_once(finding: Finding, findings: dict[tuple[str, str], Finding]) -> Finding:
    """The finding, or a pointer to the fault among `findings` so far that is the same: a dead database fails many."""
    if finding.ok:
        return finding
    first = findings.setdefault((finding.detail, finding.mend), finding)
    return finding if first is finding else replace(finding, detail=f"as for {first.name}", mend="")


def examined(name: str, check: Callable[[], Finding]) -> Finding:
    """The check's finding; an error that a person can mend is one, its last part says how."""
    try:
        return check()
    except RlhfError as error:
        detail, _, mend = str(error).rpartition("; ")
        return Finding(name, False, detail or mend, mend if detail else "")


def settings() -> Finding:
    if os.environ.get("SUPABASE_URL") and not os.environ.get(PIPELINE):
        return Finding(
            "settings",
            None,
            "SUPABASE_URL and its keys are for Supabase's web interface; this project talks to its PostgreSQL",
            f"copy the Postgres URL from the Supabase dashboard under Connect into {ADMIN}, and with role "
            f"{PIPELINE_ROLE} into {PIPELINE}",
        )
    ours = [name for name in (PIPELINE, ADMIN, DAGSTER) if os.environ.get(name)]
    return Finding("settings", True, f"{', '.join(ours)} set" if ours else f"the embedded PostgreSQL in {home()}")


def reachable(name: str, url: str) -> Finding:
    with connect(url, read_only=True) as connection:
        about = connection.info
        version = about.server_version // 10000
        where = f"{about.user} at {about.host}/{about.dbname}, PostgreSQL {version}"
    if version < 15:
        return Finding(name, False, where, "use PostgreSQL 15 or newer")
    if not sure_of_tls(parts(url)):
        mend = f"write sslmode=require in {setting_of(plain(url))}, or verify-full and the CA's file as sslrootcert"
        return Finding(name, None, f"{where}, encrypted only if nobody on the way prevents it", mend)
    return Finding(name, True, where)


def dagster_database() -> Finding:
    url = dagster_url()
    if parts(url).get("port") == TRANSACTION_POOLER:
        return Finding(
            "Dagster's database",
            False,
            f"{DAGSTER} leads to a transaction pooler, which loses Dagster's notifications",
            "use the direct or the session connection (port 5432)",
        )
    return reachable("Dagster's database", url)


def migrations() -> Finding:
    with connect(admin_url(), read_only=True) as connection:
        applied = dict(connection.execute("select name, sha256 from rlhf.migrations").fetchall())
    files = {file.name: hashlib.sha256(file.read_text().encode()).hexdigest() for file in MIGRATIONS.glob("[0-9]*.sql")}
    edited = sorted(name for name in files.keys() & applied.keys() if files[name] != applied[name])
    if edited:
        return Finding(
            "migrations",
            False,
            f"edited after it was applied: {', '.join(edited)}",
            "put the old text back, and the change into a new file with the next number",
        )
    if missing := sorted(files.keys() - applied.keys()):
        return Finding("migrations", False, f"not applied: {', '.join(missing)}", "run `rlhf migrate`")
    return Finding("migrations", True, f"all {len(files)} applied")


def feedback() -> Finding:
    from rlhf_assets.feedback.read import check_source

    with connect(pipeline_url(), read_only=True) as connection:
        check_source(connection)
    return Finding("feedback", True, "rlhf.feedback has all its columns")


def training_runs() -> Finding:
    with connect(pipeline_url(), read_only=True) as connection:
        connection.execute(f"select {RUN_COLUMNS} from public.rlhf_training_runs limit 0".encode())  # noqa: S608
        table = "public.rlhf_training_runs"
        rights = "select has_table_privilege(%(table)s, 'insert') and has_table_privilege(%(table)s, 'update')"
        [(allowed,)] = connection.execute(rights, {"table": table}).fetchall()
    if not allowed:
        return Finding(
            "training runs", False, f"{PIPELINE} may not write public.rlhf_training_runs", "run `rlhf migrate`"
        )
    return Finding("training runs", True, "public.rlhf_training_runs has all its columns and can be written")


def role() -> Finding:
    question = """
        select rolname, rolsuper or rolbypassrls or rolcreaterole, has_schema_privilege('public', 'create'), (
            select string_agg(relname, ', ' order by relname) from pg_class
            where relnamespace = 'public'::regnamespace and relname <> 'rlhf_training_runs'
                and relkind in ('r', 'v', 'm', 'f', 'p')
                and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid
                    and deptype = 'e')  -- of an extension
                and (has_any_column_privilege(oid, 'select, insert, update')
                    or has_table_privilege(oid, 'delete, truncate'))
        )
        from pg_roles where rolname = current_user
    """
    with connect(pipeline_url(), read_only=True) as connection:
        [(name, powerful, creates, trespasses)] = connection.execute(question).fetchall()
    too_much = [
        text
        for found, text in (
            (powerful, "passes by row-level security or makes roles"),
            (trespasses, f"reads or writes {trespasses} in public"),
            (creates, "makes tables in public"),
        )
        if found
    ]
    if too_much:
        mend = f"use role {PIPELINE_ROLE} in {PIPELINE}"
        if name == PIPELINE_ROLE:
            mend = f"take from {PIPELINE_ROLE} and from PUBLIC what the migrations do not grant"
        return Finding("role", None, f"{name} may do more than it needs: {'; '.join(too_much)}", mend)
    return Finding("role", True, f"{name} reads feedback, writes training runs, and nothing else")


def row_level_security() -> Finding:
    question = "select relname from pg_class where oid = any(%s::regclass[]) and not relrowsecurity"
    with connect(admin_url(), read_only=True) as connection:
        rows = connection.execute(question, [[f"public.{table}" for table in GUARDED]])
        bare = sorted(name for (name,) in rows)
    if bare:
        mend = "alter table public.NAME enable row level security"
        return Finding("row-level security", False, f"off on {', '.join(bare)}: everybody's rows are open", mend)
    return Finding("row-level security", True, f"on for {', '.join(GUARDED)}")


def weeks() -> Finding:
    from rlhf_assets.feedback.read import rows_outside_weeks
    from rlhf_assets.feedback.weeks import first_week

    first = first_week()
    with connect(pipeline_url(), read_only=True) as connection:
        outside = rows_outside_weeks(connection, first, datetime.now(UTC))
    if any(outside.values()):
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outside.items() if count)
        where = f"created_at is null or created_at < '{first} 00:00+00' or created_at > now()"
        mend = f"mend created_at, or RLHF_FIRST_WEEK; they are in the view rlhf.feedback, where {where}"
        return Finding("weeks", None, f"votes in no week: {counts}", mend)
    return Finding("weeks", True, f"every vote lies in a week since {first}")


def model(name: str) -> Finding:
    from rlhf_assets.policy.settings import SftSettings
    from rlhf_assets.reward.settings import RewardSettings
    from rlhf_assets.storage.models import PATHS, resolve_model

    kind: type[RewardSettings | SftSettings] = RewardSettings if name.startswith("reward") else SftSettings
    wanted = project_settings(kind).base_model
    if wanted.startswith(PATHS) and not Path(wanted).is_dir():
        mend = f"correct base_model under [{kind.__name__}] in the file that RLHF_SETTINGS names"
        return Finding(name, False, f"there is no folder {wanted}", mend)
    found = resolve_model(wanted)
    if found == wanted and not Path(found).is_dir():
        return Finding(
            name, None, f"{wanted} will be downloaded from the hub", "`make install` brings it without a hub"
        )
    return Finding(name, True, f"{wanted} in {found}")


def artifacts() -> Finding:
    from rlhf_assets.storage.artifacts import ArtifactStore

    store = ArtifactStore(artifact_root())
    assets = store.assets()
    if store.root.protocol and not assets:  # a store may say the same of a bucket that is not there
        return Finding(
            "artifacts", None, f"nothing lies in {store.root} yet", "correct RLHF_ARTIFACTS if that is wrong"
        )
    return Finding("artifacts", True, f"{len(assets)} assets in {store.root}")


def device() -> Finding:
    from rlhf_assets.compute import choose_compute

    chosen = choose_compute()
    return Finding("device", True, f"{chosen.device}, {chosen.precision}")


def disk() -> Finding:
    folder = next(folder for folder in (home(), *home().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.0f} GB free at {folder}"
    if free < LITTLE_DISK:
        return Finding("disk", False if free < TOO_LITTLE_DISK else None, detail, "free some space, or move RLHF_HOME")
    return Finding("disk", True, detail)
