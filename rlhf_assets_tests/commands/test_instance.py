import os
from pathlib import Path

import pytest

from rlhf_assets.commands.instance import CONFIGURATION, dagster_home, open_instance
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage import embedded_postgres


def test_what_dagsters_servers_print_does_not_reach_stdout(
    dagster_db: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with open_instance() as instance:
        os.write(1, b"noise\n")
        assert instance.get_runs_count() == 0
    os.write(1, b"result\n")
    said = capfd.readouterr()
    assert said.out == "result\n"
    assert "noise\n" in said.err


def test_a_database_that_goes_away_is_told_in_one_line(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded_postgres.start(fresh_home)
    url = embedded_postgres.url(fresh_home, "dagster").replace("://", "+psycopg2://")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    monkeypatch.setenv("DAGSTER_HOME", str(fresh_home / "dagster_home"))

    def left_alone() -> None:
        with open_instance() as instance:
            assert instance.get_runs_count() == 0
            embedded_postgres.stop(fresh_home)
            instance.get_runs_count()

    with pytest.raises(RlhfError, match="Dagster's database went away") as told:
        left_alone()
    assert "\n" not in str(told.value)
    embedded_postgres.start(fresh_home)
    with pytest.raises(ZeroDivisionError), open_instance():
        raise ZeroDivisionError


def test_dagsters_home_reads_the_projects_configuration_also_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    link = dagster_home() / "dagster.yaml"
    assert link.read_text() == CONFIGURATION.read_text()
    link.unlink()
    link.symlink_to("/gone/dagster.yaml")
    assert (dagster_home() / "dagster.yaml").read_text() == CONFIGURATION.read_text()
    link.unlink()
    link.write_text("# a person's own")
    assert (dagster_home() / "dagster.yaml").read_text() == "# a person's own"


def test_a_copied_project_takes_its_own_dagster_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "beside.yaml").write_text("telemetry: {enabled: true}")
    link = tmp_path / "dagster.yaml"
    link.symlink_to(tmp_path / "beside.yaml")
    dagster_home()
    assert link.resolve() == CONFIGURATION.resolve()
    link.unlink()
    link.write_text("a person's own")
    dagster_home()
    assert link.read_text() == "a person's own"
