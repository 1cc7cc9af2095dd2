"""Real people's judgments as lines for `rlhf import`: `python -m benchmarks.real_feedback FOLDER --to 2026-11-15`.

FOLDER holds files named *.pairs.jsonl (group, query, chosen, rejected: a thumb up and a thumb down), *.ratings.jsonl
(group, query whose last line is the question and whose earlier lines are turns, response, score in [0, 1]) and
*.steps.jsonl (group, query, usefulness 1 to 3, steps of text and correctness in [0, 1]). Who judged is not said there:
every judgment gets one of RATERS made-up people. Dates are drawn over the twelve weeks that end with the week given.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from rlhf_assets.feedback.weeks import bounds, earlier, parse_week

WEEKS, RATERS, SEED = 12, 60, 0


def pairs(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for text, thumb in ((row["chosen"], "positive"), (row["rejected"], "negative")):
        yield {"query": row["query"], "response": text, "feedback": thumb}


def ratings(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    *turns, query = row["query"].split("\n")
    roles = ["assistant" if (len(turns) - number) % 2 else "user" for number in range(len(turns))]
    context = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=True)]
    yield {"query": query, "context": context, "response": row["response"], "feedback_score": points(row["score"])}


def steps(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    texts = [step["text"] for step in row["steps"]]
    yield {
        "query": row["query"],
        "response": "\n".join(texts),
        "feedback_score": None if row["usefulness"] is None else points((row["usefulness"] - 1) / 2),
        "steps": texts,
        "step_feedback": [
            {"step": number, "feedback_score": points(step["score"])}
            for number, step in enumerate(row["steps"])
            if step["score"] is not None
        ],
    }


def points(share: float) -> int:
    """1 to 5 for 0 to 1."""
    return 1 + round(4 * share)


KINDS: dict[str, Callable[[dict[str, Any]], Iterator[dict[str, Any]]]] = {
    ".pairs": pairs,
    ".ratings": ratings,
    ".steps": steps,
}


def lines(folder: Path, last: str) -> Iterator[dict[str, Any]]:
    """Every judgment of every file, in the files' order."""
    draw = random.Random(SEED)  # noqa: S311
    start = bounds(earlier(last, WEEKS - 1))[0]
    for file in sorted(folder.glob("*.jsonl")):
        name, kind = file.stem.split(".")[0], Path(file.stem).suffix
        for text in file.read_text().splitlines():
            row = json.loads(text)
            for line in KINDS[kind](row):
                moment = start + timedelta(weeks=WEEKS * draw.random())
                person = f"{name} {draw.randrange(RATERS)}"
                yield line | {"user_id": person, "segment": name, "created_at": moment.isoformat()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", required=True, type=parse_week, metavar="SUNDAY", help="the last of the twelve weeks")
    given = parser.parse_args()
    for line in lines(given.folder, given.to):
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
