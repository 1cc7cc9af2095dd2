"""JSON lines in, the same lines with something added out: how `score` and `generate` work."""

import json
import re
from collections.abc import Callable
from typing import BinaryIO

import typer

from rlhf_assets.commands.output import print_json

SURROGATE = re.compile("[\ud800-\udfff]")  # UTF-8 has none, and no tokenizer takes one


def answer_lines(file: BinaryIO, needed: list[str], answer: Callable[[list[dict]], list[dict]]) -> None:
    """Print every line of `file` with what `answer` adds to it, in the order of the file.

    `answer` gets the good lines, whose `needed` fields are text and whose `context` is a list of turns, and returns
    an addition to each; it is asked without any too, since a model that is none is an error all the same. A bad line
    gets an `error` instead, and the command exits 1. Empty lines are passed over.
    """
    rows = [_parse(line, number, needed) for number, line in enumerate(file, 1) if line.strip()]
    good = [row for row in rows if "error" not in row]
    for row, addition in zip(good, answer(good), strict=True):
        row.update(addition)
    for row in rows:
        print_json(row)
    if refused := len(rows) - len(good):
        typer.echo(f"{refused} of {len(rows)} lines are bad, each says why in its `error`", err=True)
        raise typer.Exit(1)


def _parse(line: bytes, number: int, needed: list[str]) -> dict:
    """The line's object, or what could be read of it with its `error`."""
    try:
        row = json.loads(line)
    except ValueError as error:  # no JSON, or no UTF-8
        return {"error": f"line {number} is no JSON: {error}"}
    if not isinstance(row, dict):
        return {"error": f"line {number} is no object"}
    row.pop("error", None)  # from an earlier pass over the same lines
    for name in needed:
        if not isinstance(row.get(name), str) or not row[name].strip():
            return row | {"error": f"{name} is not there or no text"}
    if row.get("context") is not None and not _is_context(row["context"]):
        return row | {"error": "context is no list of turns, each with role and content"}
    if SURROGATE.search(json.dumps(row, ensure_ascii=False)):
        return {"error": f"line {number} holds half of a character (a lone surrogate such as \\ud800)"}
    return row


def _is_context(turns: object) -> bool:
    return isinstance(turns, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
        for turn in turns
    )
