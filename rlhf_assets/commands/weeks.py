"""How a week is given on the command line: the date of its Sunday, checked before anything starts."""

from typing import Annotated, Any

import typer

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.weeks import first_week, last_closed_week, parse_week


def closed_week(text: str) -> str:
    """The week; bad usage (exit 2) when the date starts none, lies before the first or is not over yet."""
    first, last = first_week(), last_closed_week()
    try:
        week = parse_week(text)
    except RlhfError as error:
        raise typer.BadParameter(str(error)) from None
    if week < first:
        raise typer.BadParameter(f"{week} lies before the first week, {first} (RLHF_FIRST_WEEK)")
    if week > last:
        raise typer.BadParameter(f"week {week} is not over yet; the last closed week is {last}")
    return week


def week_option(flag: str, help: str) -> Any:
    """An option such as `--week`, for an annotation."""
    return typer.Option(flag, metavar="SUNDAY", parser=closed_week, help=help)


Week = Annotated[str | None, week_option("--week", "The week, by the date of its Sunday; default: the last closed.")]
