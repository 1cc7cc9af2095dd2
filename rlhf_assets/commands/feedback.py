"""`rlhf import`: rated answers from a file into the assistant's own tables."""

from collections.abc import Iterator
from typing import Annotated, BinaryIO

import typer

from rlhf_assets.commands.output import AsJson, print_json
from rlhf_assets.printable import printable


def import_feedback(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="JSON lines, one rated answer a line; - reads stdin.")],
    as_json: AsJson = False,
) -> None:
    """Import rated answers from a file of JSON lines.

    Importing a file again changes nothing. Each line is an object with query and response, and with feedback
    (positive, negative or null), feedback_score (1 to 5 or null) or both. It may have context (earlier turns, each
    with role and content), user_id, segment, created_at (now, unless given), model_version, steps (a list of texts)
    and step_feedback (a list of objects with step, counted from 0, feedback and feedback_score). A line that is none
    of this is reported with its number; the others are imported, and the exit code is 1.

    \b
    Example:  rlhf import ratings.jsonl
              echo '{"query": "What is a carbon price?", "response": "A fee on emissions.", "feedback_score": 4}' \\
                  | rlhf import -
    """
    from rlhf_assets.feedback.importing import import_lines
    from rlhf_assets.storage.database import admin_url, connect

    with connect(admin_url()) as connection:
        report = import_lines(connection, _text(file))
    if as_json:
        problems = [{"line": number, "error": problem} for number, problem in report.problems]
        print_json(
            {
                "read": report.read,
                "imported_ratings": report.imported_ratings,
                "unchanged": report.unchanged,
                "problems": problems,
            }
        )
    else:
        for number, problem in report.problems:
            typer.echo(f"line {number}: {printable(problem)}", err=True)
        typer.echo(
            f"{report.read} lines read: {report.imported_ratings} ratings imported, {report.unchanged} known already"
            + (f", {len(report.problems)} lines refused" if report.problems else "")
        )
    if report.problems:
        raise typer.Exit(1)


def _text(file: BinaryIO) -> Iterator[str]:
    """The file's lines; one that is not UTF-8 becomes text that is no JSON, and so is refused with its number."""
    for line in file:
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            yield f"not UTF-8: {error}"
