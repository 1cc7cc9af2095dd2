"""The doctor finds each fault that is planted, says how to mend it, and raises nothing."""

import pytest

from rlhf_assets.feedback.weeks import first_week
from rlhf_assets.storage import doctor
from rlhf_assets.storage.doctor import checkup, examined
from rlhf_assets_tests.storage.conversations import person, vote


@pytest.fixture
def found(settings, dagster_db, monkeypatch):
    """Runs the checkup on a sound project; models and device are looked at by one test only, for their time."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)

    def run(*names):
        wanted = {"model": lambda name: doctor.Finding(name, True, "not looked at"), "device": doctor.disk}
        with pytest.MonkeyPatch.context() as patch:
            for name, stand_in in wanted.items():
                patch.setattr(doctor, name, stand_in)
            findings = {finding.name: finding for finding in checkup()}
        return findings if not names else [findings[name] for name in names]

    return run


def test_a_sound_project(found):
    assert [finding for finding in found().values() if finding.ok is not True] == []


def test_models_and_device_of_this_machine(settings):
    findings = [examined("model", lambda: doctor.model("reward base model")), examined("device", doctor.device)]
    assert all(finding.ok is not False for finding in findings)
    assert "MiniLM" in findings[0].detail


def test_nothing_runs(tmp_path, monkeypatch, found):
    for name in ("SUPABASE_DB_URL", "SUPABASE_ADMIN_DB_URL", "DAGSTER_POSTGRES_URL"):
        monkeypatch.delenv(name)
    first, *others = found("assistant's database", "admin's database", "Dagster's database", "migrations", "feedback")
    assert (first.ok, "rlhf up" in first.mend + first.detail) == (False, True)
    for finding in others:  # one cause is told once
        assert (finding.ok, finding.detail) == (False, "as for assistant's database")


def test_a_planted_password_shows_nowhere(monkeypatch, found):
    for name in ("SUPABASE_DB_URL", "SUPABASE_ADMIN_DB_URL", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, "postgresql://postgres:hunter2-planted@127.0.0.1:1/app")
    assert "hunter2" not in str(found())
    assert found("feedback")[0].ok is False
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://u:hun%zzter2@h/db")
    [finding] = found("Dagster's database")
    assert (finding.ok, "must be URL-encoded" in finding.detail + finding.mend) == (False, True)


def test_a_base_model_of_the_project_s_settings_that_is_not_there(settings, tmp_path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text(f'[RewardSettings]\nbase_model = "{tmp_path}/gone"\n[SftSettings]\nbase_model = "./gone"\n')
    monkeypatch.setenv("RLHF_SETTINGS", str(file))
    for name, kind in (("reward base model", "RewardSettings"), ("policy base model", "SftSettings")):
        finding = doctor.model(name)
        assert (finding.ok, "/gone" in finding.detail, kind in finding.mend) == (False, True, True)


def test_a_database_without_the_migrations(empty_url, monkeypatch, found):
    monkeypatch.setenv("SUPABASE_ADMIN_DB_URL", empty_url)
    monkeypatch.setenv("SUPABASE_DB_URL", empty_url)
    for finding in found("migrations", "feedback", "training runs"):
        assert (finding.ok, "rlhf migrate" in finding.mend) == (False, True), finding


def test_pending_and_edited_migrations(admin, found):
    admin.execute("update rlhf.migrations set sha256 = 'x' where name like '0002%'")
    [finding] = found("migrations")
    assert (finding.ok, "edited after it was applied: 0002" in finding.detail) == (False, True)
    admin.execute("delete from rlhf.migrations where name like '0002%'")
    [finding] = found("migrations")
    assert (finding.ok, "not applied: 0002" in finding.detail) == (False, True)


def test_a_missing_column_and_a_missing_right(admin, found):
    admin.execute("alter table public.rlhf_training_runs rename metrics to figures")
    [finding] = found("training runs")
    assert (finding.ok, "metrics" in finding.detail) == (False, True)
    admin.execute("alter table public.rlhf_training_runs rename figures to metrics")
    admin.execute("revoke update on public.rlhf_training_runs from rlhf_pipeline")
    admin.execute("revoke select on rlhf.feedback from rlhf_pipeline")
    assert [finding.ok for finding in found("training runs", "feedback")] == [False, False]


def test_a_role_with_too_many_rights(admin, admin_url, monkeypatch, found):
    admin.execute("grant create on schema public to rlhf_pipeline")
    [finding] = found("role")
    assert (finding.ok, "makes tables in public" in finding.detail) == (None, True)
    admin.execute("revoke create on schema public from rlhf_pipeline")
    admin.execute("create table public.later (id int, secret text)")
    admin.execute("grant select (secret) on public.later to rlhf_pipeline")
    [finding] = found("role")
    assert (finding.ok, finding.detail) == (
        None,
        "rlhf_pipeline may do more than it needs: reads or writes later in public",
    )
    monkeypatch.setenv("SUPABASE_DB_URL", admin_url)
    [finding] = found("role")
    assert (finding.ok, finding.mend) == (None, "use role rlhf_pipeline in SUPABASE_DB_URL")


def test_row_level_security_that_is_off(admin, found):
    admin.execute("alter table public.chat_feedback disable row level security")
    [finding] = found("row-level security")
    assert (finding.ok, "off on chat_feedback" in finding.detail) == (False, True)


def test_votes_in_no_week(admin, found, monkeypatch):
    user = person(admin)
    an_hour_early = f"{first_week()} 00:00+01"
    for moment in (None, an_hour_early, "2999-01-01", "2999-01-02"):
        vote(admin, user, created_at=moment)
    [finding] = found("weeks")
    assert finding.ok is None
    assert "1 no date, 1 before first week, 2 future" in finding.detail
    where = finding.mend.partition("where ")[2]
    admin.execute("set time zone 'Asia/Tokyo'")
    assert admin.execute(f"select count(*) from rlhf.feedback where {where}").fetchone() == (4,)  # noqa: S608
    monkeypatch.setenv("RLHF_FIRST_WEEK", "2026-01-05")  # a Monday
    assert found("weeks")[0].ok is False


def test_settings_of_the_web_interface(monkeypatch, found):
    monkeypatch.setenv("SUPABASE_URL", "https://abc.supabase.co")
    monkeypatch.delenv("SUPABASE_DB_URL")
    [finding] = found("settings")
    assert (finding.ok, "under Connect" in finding.mend) == (None, True)


def test_a_transaction_pooler_for_dagster(monkeypatch, found):
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://postgres@127.0.0.1:6543/dagster")
    [finding] = found("Dagster's database")
    assert (finding.ok, "transaction pooler" in finding.detail) == (False, True)


@pytest.mark.parametrize(("free", "ok"), [(100e9, True), (5e9, None), (1e9, False)])
def test_disk(settings, monkeypatch, free, ok):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert doctor.disk().ok is ok
