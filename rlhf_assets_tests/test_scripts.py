"""What stands around the project, workflow and script, calls commands that there are, as they are to be called."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from rlhf_assets.cli import COMMANDS
from rlhf_assets.feedback.weeks import last_closed_week
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.commands.runner import rlhf

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "train_model.sh"
WORKFLOW = ROOT / ".github" / "workflows" / "rlhf_training.yml"


SCREENSHOTS = ROOT / "scripts" / "screenshots.py"


def called(text: str) -> list[list[str]]:
    """The words of each call of `rlhf` in it."""
    return [line.split() for line in re.findall(r"\.venv/bin/rlhf (.+)", text)]


def test_the_script_refuses_what_it_does_not_know() -> None:
    for wrong in ("policy", "--help"):
        said = subprocess.run([SCRIPT, wrong], capture_output=True, text=True, check=False)  # noqa: S603
        assert (said.returncode, said.stdout, said.stderr) == (
            2,
            "",
            "usage: scripts/train_model.sh [reward|ppo|both]\n",
        )


def pictures(home: Path) -> str:
    """What the script says to a person who cannot have any, in a shell without programs."""
    environment = {"RLHF_HOME": str(home), "PATH": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, SCREENSHOTS]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    assert (said.returncode, said.stdout) == (1, "")
    return said.stderr


def test_pictures_need_a_demo_and_a_browser(tmp_path: Path) -> None:
    assert pictures(tmp_path) == "there is no policy to show; `make demo` makes one\n"
    with ArtifactStore(str(tmp_path / "artifacts")).draft("policy_evaluation", "2026-11-22", "run") as draft:
        draft.commit()
    assert pictures(tmp_path).startswith("there is no Chromium to take pictures with; install it")


def test_every_command_that_is_called_is_one_with_these_options() -> None:
    calls = called(SCRIPT.read_text()) + called(WORKFLOW.read_text())
    assert [words[0] for words in calls] == ["up", "backfill", "train", "export"]
    for command, *words in calls:
        assert command in COMMANDS
        told = rlhf(command, "--help").stdout
        assert all(word in told for word in words if word.startswith("--"))


def test_the_workflow_runs_weekly_and_by_hand_and_keeps_the_promoted_policy() -> None:
    flow = yaml.safe_load(WORKFLOW.read_text())
    when = flow[True]  # YAML 1.1 reads `on` so
    assert when["schedule"] == [{"cron": "0 1 * * 0"}]
    assert when["workflow_dispatch"]["inputs"]["what"]["options"] == ["both", "reward", "ppo"]
    steps = flow["jobs"]["train"]["steps"]
    assert any(step.get("run", "").startswith(str(SCRIPT.relative_to(ROOT))) for step in steps)
    (export,) = (words for words in called(WORKFLOW.read_text()) if words[0] == "export")
    (upload,) = (step["with"] for step in steps if "upload-artifact" in step.get("uses", ""))
    assert upload["path"] == export[-1]
    ours = {name for name in flow["jobs"]["train"]["env"] if name.startswith(("SUPABASE", "DAGSTER", "RLHF"))}
    known = re.findall(r"\b(?:SUPABASE|DAGSTER|RLHF)_[A-Z_]+", (ROOT / ".env.example").read_text())
    assert ours == {"SUPABASE_DB_URL", "DAGSTER_POSTGRES_URL", "RLHF_ARTIFACTS", "RLHF_FIRST_WEEK"} <= set(known)


def test_what_the_script_calls_first_needs_no_more_than_the_workflow_sets(
    app_url: str, dagster_db: str, tmp_path: Path
) -> None:
    given = {
        "SUPABASE_DB_URL": app_url,
        "DAGSTER_POSTGRES_URL": dagster_db,
        "RLHF_ARTIFACTS": str(tmp_path / "artifacts"),
        "RLHF_FIRST_WEEK": last_closed_week(),
    }
    assert given.keys() <= yaml.safe_load(WORKFLOW.read_text())["jobs"]["train"]["env"].keys()
    environment = {**given, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    program = "from rlhf_assets.cli import app; app()"
    for words in called(SCRIPT.read_text())[:2]:
        said = subprocess.run(  # noqa: S603
            [sys.executable, "-c", program, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
    assert "done from" in said.stdout
    assert not (tmp_path / ".env").exists()
