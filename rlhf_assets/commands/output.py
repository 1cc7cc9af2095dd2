"""What all commands say, and where: results on stdout, progress and errors on stderr."""

import json
import logging
import os
from typing import Annotated

import typer

from rlhf_assets.printable import printable, printable_json
from rlhf_assets.storage.json_safe import json_safe

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, alone on stdout.")]


def print_json(result: object) -> None:
    """The result for a program; NaN becomes null."""
    typer.echo(printable_json(json.dumps(json_safe(result), ensure_ascii=False, default=str)))


class PrintableLines(logging.Formatter):
    """Reasons name segments and models, which people have named."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def show_progress() -> None:
    """Show what the project logs, such as `ppo 3/8 · 4 min left`, on stderr while a command works."""
    os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error")  # no bars between our lines
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableLines("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("rlhf_assets")
    log.handlers = [handler]
    log.setLevel(logging.INFO)
