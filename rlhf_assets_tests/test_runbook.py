"""The runbook's commands are ones that there are, and its backup of Dagster's database is one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_assets.cli import COMMANDS
from rlhf_assets_tests.commands.runner import rlhf

ROOT = Path(__file__).parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
PAGES = {"docs/runbook.md": RUNBOOK, "README.md": (ROOT / "README.md").read_text()}
CODE = re.compile(r"```(?:bash|toml)\n(.*?)```|`([^`]+)`", re.S)


def calls(page: str) -> set[tuple[str, tuple[str, ...]]]:
    """Each `rlhf COMMAND --option …` in code on that page: command and options."""
    lines = [line for block, span in CODE.findall(page) for line in (block.splitlines() or [" ".join(span.split())])]
    said = [re.sub(r" +#.*", "", part) for line in lines for part in line.split("&&")]
    found = [re.match(r"rlhf ([a-z]+)(.*)", part.strip()) for part in said]
    return {(call[1], tuple(re.findall(r"--[a-z-]+", call[2]))) for call in found if call}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_the_page_is_one_with_these_options(page: str) -> None:
    found = calls(PAGES[page])
    assert len(found) > 10
    for command, options in found:
        assert command in COMMANDS, command
        told = rlhf(command, "--help").stdout
        assert [option for option in options if option not in told] == [], command


def block(heading: str) -> str:
    """The first block of commands under that heading."""
    return RUNBOOK.split(f"## {heading}\n")[1].split("```bash\n")[1].split("```")[0]


def test_dagsters_database_is_dumped_restored_and_brought_up_to_date(fresh_home: Path) -> None:
    """As the runbook says, in the shell: a week is made, dumped, another is made, and the database is emptied."""
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "PYTHONPATH": str(ROOT),
        "RLHF_HOME": str(fresh_home / "home"),
        "RLHF_FIRST_WEEK": "2026-01-04",
    }

    def shell(commands: str) -> str:
        done = subprocess.run(  # noqa: S603
            ["/bin/bash", "-ec", commands], cwd=fresh_home, env=own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    rlhf_here = f'rlhf() {{ {sys.executable} -c "from rlhf_assets.cli import app; app()" "$@"; }}\n'
    one = "rlhf backfill --assets raw_step_feedback --local --from 2026-01-{0} --to 2026-01-{0}\n"
    dump, restore = block("Keep it running"), block("Restore Dagster's database").removesuffix("make ui\n")
    assert "pg_dump" in dump
    assert "pg_restore" in restore
    shell(rlhf_here + "rlhf up\n" + one.format("04") + dump)
    find = "".join(line + "\n" for line in dump.splitlines() if line.startswith(("url=", "bin=")))
    shell(
        rlhf_here
        + one.format("11")
        + find
        + """"$bin/psql" -qd "$url" -c 'drop schema public cascade; create schema public'"""
    )
    said = shell(rlhf_here + restore)
    assert said.splitlines()[0].split() == ["1", "raw_step_feedback"]
    weeks = "select partition from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION' order by id"
    assert shell(f'{find}"$bin/psql" -Atd "$url" -c "{weeks}"').split() == ["2026-01-04", "2026-01-11"]
