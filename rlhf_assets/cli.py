"""The `rlhf` command: puts the commands together, shows progress on stderr, and turns a mendable error into one line.

The commands stand in `commands/`, a file per family; heavy imports stand inside them, so that `--help` is instant.
"""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from rlhf_assets.commands import (
    audit,
    backfill,
    demo,
    feedback,
    forget,
    gc,
    models,
    promotion,
    reindex,
    runs,
    server,
    training,
)
from rlhf_assets.commands.output import show_progress
from rlhf_assets.errors import RlhfError
from rlhf_assets.printable import printable


class OneLineErrors(TyperGroup):
    """Prints an RlhfError alone on stderr and exits 1; any other exception is a bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RlhfError as error:
            typer.echo(printable(str(error)), err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a bug's traceback stays plain, and shows no local variables
    rich_markup_mode=None,
)


@app.callback()
def rlhf() -> None:
    """From people's ratings of an assistant's answers to a better assistant, every week.

    Exit codes: 0 done, 1 failed (one line on stderr says why), 2 bad usage.
    """
    from rlhf_assets.storage.environment import load_env

    load_env()
    show_progress()


COMMANDS: dict[str, Callable[..., None]] = {
    "up": server.up,
    "down": server.down,
    "migrate": server.migrate,
    "doctor": server.doctor,
    "demo": demo.demo,
    "import": feedback.import_feedback,
    "backfill": backfill.backfill,
    "audit": audit.audit,
    "train": training.train,
    "forget": forget.forget,
    "gc": gc.gc,
    "runs": runs.runs,
    "reindex": reindex.reindex,
    "score": models.score,
    "generate": models.generate,
    "export": models.export,
    "promote": promotion.promote,
    "demote": promotion.demote,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
