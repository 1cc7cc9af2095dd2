"""How an answer falls into steps: the one rule that import, demo and rollouts share."""

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise

NUMBERED = re.compile(r"[ \t]*(?:\*\*)?\d{1,3}[.)](?:\*\*)?[ \t]+\S")


@dataclass(frozen=True)
class Step:
    """One step: its trimmed text, and the characters [start, end) of the answer that it stands for."""

    text: str
    start: int
    end: int


def split_steps(text: str) -> list[Step]:
    """Cut an answer at its numbered lines ("1.", "2)"), else its paragraphs, else its lines.

    The steps lie end to end and cover the whole text, so that every token belongs to exactly one: words before the
    first number belong to the first step, a number left without text at the end to the last. Blank text has no steps.
    """
    lines = text.splitlines(keepends=True)
    offsets = list(accumulate(map(len, lines), initial=0))[:-1]
    filled = [bool(line.strip()) for line in lines]
    numbered = [bool(NUMBERED.match(line)) for line in lines]
    paragraphs = [now and not before for before, now in pairwise([False, *filled])]
    opens = numbered if any(numbered) else paragraphs if sum(paragraphs) > 1 else filled
    starts = [offset for offset, opening in zip(offsets, opens, strict=True) if opening]
    edges = [0, *starts[1:], len(text)] if starts else []
    return [Step(text[start:end].strip(), start, end) for start, end in pairwise(edges)]
