"""The .env file: written whole, kept private, never stronger than the environment."""

import os
import stat

from dotenv import dotenv_values

from rlhf_assets.storage.environment import load_env, write_env
from rlhf_assets.storage.home import artifact_root, home

URL = "postgresql://user:pa$$%23'\"word@/app?host=/a folder/postgres"


def test_values_come_back_as_they_were_written(tmp_path):
    file = tmp_path / ".env"
    write_env(file, {"SUPABASE_DB_URL": URL, "RLHF_HOME": "/a folder/#1"})
    assert dotenv_values(file) == {"SUPABASE_DB_URL": URL, "RLHF_HOME": "/a folder/#1"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]  # noqa: PTH208


def test_what_a_person_wrote_stays(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# mine\nRLHF_GOLD=a:b\nRLHF_HOME=old\n")
    write_env(file, {"RLHF_HOME": "new"})
    assert file.read_text().startswith("# mine\nRLHF_GOLD=a:b\n")
    assert dotenv_values(file) == {"RLHF_GOLD": "a:b", "RLHF_HOME": "new"}


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_env()  # no file is fine
    monkeypatch.setenv("RLHF_HOME", "/mine")
    monkeypatch.setenv("RLHF_ARTIFACTS", "")  # so that it is taken away again after the test
    monkeypatch.delenv("RLHF_ARTIFACTS")
    write_env(tmp_path / ".env", {"RLHF_HOME": "/other", "RLHF_ARTIFACTS": "s3://bucket/artifacts"})
    load_env()
    assert (str(home()), artifact_root()) == ("/mine", "s3://bucket/artifacts")


def test_the_home_is_absolute_and_holds_the_artifacts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLHF_HOME")
    assert (home(), artifact_root()) == (tmp_path / ".rlhf", str(tmp_path / ".rlhf" / "artifacts"))
