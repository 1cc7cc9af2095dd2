"""What holds for every command: help with an example, exit codes, one clear line, no password, quick to start."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_assets.cli import COMMANDS
from rlhf_assets_tests.commands.runner import rlhf

SECRET = "hunter2"  # noqa: S105
NOWHERE = f"postgresql://somebody:{SECRET}@127.0.0.1:1/app"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may read the .env of the folder it is started in."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    result = rlhf(command, "--help")
    assert result.exit_code == 0
    assert f"Example:  rlhf {command}" in result.stdout


def test_help_needs_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'dagster', 'pandas', 'psycopg', 'pyarrow', 'fsspec'}"
    code = f"import sys, rlhf_assets.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("week", "reason"),
    [
        ("2026-11-16", "starts no week, it is a Monday; the week it lies in is 2026-11-15"),
        ("soon", "'soon' is no date"),
        ("2025-12-28", "lies before the first week, 2026-01-04"),
        ("2996-01-03", "is not over yet"),
    ],
)
@pytest.mark.parametrize("usage", [("train", "reward", "--week"), ("backfill", "--to", "2026-01-04", "--from")])
def test_a_date_that_is_no_week_is_bad_usage(usage: tuple[str, ...], week: str, reason: str) -> None:
    result = rlhf(*usage, week)
    assert result.exit_code == 2
    assert reason in result.stderr


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (("train", "both", "--base-model", "gpt2"), "one base model cannot serve both"),
        (("train", "ppo", "--model-path", "x"), "--model-path continues a reward model"),
        (("train", "everything"), "is not one of 'reward', 'ppo', 'both'"),
        (("train", "reward", "--epochs", "0"), "greater than or equal to 1"),
        (("backfill", "--from", "2026-01-11", "--to", "2026-01-04"), "--to 2026-01-04 lies before --from 2026-01-11"),
        (("backfill", "--from", "2026-01-11"), "say both --from and --to, or neither for the weeks that miss"),
        (("import", "nowhere.jsonl"), "No such file"),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_bad_usage_exits_2_and_says_why(usage: tuple[str, ...], reason: str) -> None:
    result = rlhf(*usage)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("usage", [("runs",), ("migrate",), ("import", "-")])
def test_an_unreachable_database_is_one_line_without_password(
    usage: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", NOWHERE)
    monkeypatch.setenv("SUPABASE_ADMIN_DB_URL", NOWHERE)
    result = rlhf(*usage, stdin="")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "cannot reach the database" in result.stderr
    assert SECRET not in result.stderr


def test_a_database_without_tables_says_how_to_mend_it(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", empty_url)
    result = rlhf("runs")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "rlhf migrate" in result.stderr


def test_without_a_database_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLHF_HOME", str(tmp_path))
    result = rlhf("runs")
    assert result.exit_code == 1
    assert "start it with `rlhf up`" in result.stderr
