"""The table of such a program: each fault, what must come of it, what did, and whether the check can fail at all.

A check that nothing can make red proves nothing, so each one runs twice: on the project as it is, and with a defect
planted in it, which the check has to notice.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

log = logging.getLogger(__name__)

Check = Callable[[], list[str]]  # what is wrong, a line each


@dataclass(frozen=True)
class Fault:
    """One row to be: `check` does the harm and looks at what came of it; `plant` puts the defect in place meanwhile."""

    name: str
    expected: str
    check: Check
    planted: str
    plant: Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Row:
    """One row: green when nothing was wrong, and something was with the defect in place."""

    name: str
    expected: str
    wrong: list[str]
    planted: str
    noticed: str

    @property
    def green(self) -> bool:
        return not self.wrong and bool(self.noticed)


def tried(faults: Iterable[Fault]) -> Iterator[Row]:
    """Each fault as it is, then with its defect; a check that breaks has noticed nothing, and hides no other."""
    for fault in faults:
        noticed: list[str] = []
        try:
            wrong = fault.check()
            with fault.plant():
                noticed = fault.check()
        except Exception as error:
            log.exception("the check of %s broke", fault.name)
            wrong = [f"the check broke: {type(error).__name__}"]
        yield Row(fault.name, fault.expected, wrong, fault.planted, noticed[0] if noticed else "")


def show(title: str, rows: Iterable[Row]) -> int:
    """Print the rows as a table and then as one line of JSON; the exit code, 0 when all are green."""
    rows = list(rows)
    table = Table("", "fault", "must be", "was", "defect planted", "the check then says", title=title, show_lines=True)
    for row in rows:
        mark = "[green]ok[/]" if row.green else "[red]wrong[/]"
        was = "; ".join(row.wrong) or "so"
        table.add_row(mark, *map(escape, (row.name, row.expected, was, row.planted, row.noticed or "nothing")))
    Console(width=160).print(table)
    green = sum(row.green for row in rows)
    print(json.dumps({"name": title, "green": green, "of": len(rows), "rows": [asdict(row) for row in rows]}))  # noqa: T201
    return 0 if rows and green == len(rows) else 1
