"""Runs `rlhf` inside the test's process and reads what it printed."""

import json

from typer.testing import CliRunner, Result

from rlhf_assets.cli import app


def rlhf(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """The command's exit code, stdout and stderr; an exception that it let through fails the test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def json_lines(*rows: object) -> str:
    """Rows as lines of JSON; text stands as it is."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
