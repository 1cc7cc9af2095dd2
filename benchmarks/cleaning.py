"""A million votes of 104 weeks through the row rules on one core: `python -m benchmarks.cleaning` (two minutes).

The votes are made up and written as Parquet, as an extraction leaves them: answers of about 400 characters, several
votes a person, dirt for every rule. They are cleaned as the asset does it, each week read once and its look-back kept
from the weeks before. `value` is rows per second from Parquet to clean and quarantined frames, the median of three
passes; `rows` says where the seconds of the last pass went, and what the text rules cost per distinct text. There is no
peer: nothing else judges votes, and these rules written slower would be a handicapped one.
"""

import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import pyarrow as pa

from benchmarks.made_up_votes import write_votes
from rlhf_assets.feedback import clean
from rlhf_assets.feedback.near_duplicates import NearDuplicates, normalised
from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.feedback.settings import CleaningSettings, SplitSettings
from rlhf_assets.feedback.weeks import bounds, earlier, weeks_between

ROWS, WEEKS, PASSES, SEED = 1_000_000, 104, 3, 0
FIRST = "2024-01-07"
QUERIES = 5_000  # for near duplicates, whose cost per query hardly grows
EARLY = 12  # weeks after which memory is looked at for the first time


class Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - start

    def timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with self.on(what):
                return function(*arguments)

        return call


def one_pass(folder: Path, weeks: list[str], clock: Clock) -> dict[str, Any]:
    """Clean all weeks; how many rows there were, were clean and were refused for what, and the peak of memory."""
    settings = CleaningSettings()
    personal_data = PersonalData(settings.phone_regions)
    personal_data.redacted = clock.timed("personal data", personal_data.redacted)  # type: ignore[method-assign]
    rules, found, memory = clean.RULES, Counter[str](), []
    clean.RULES = tuple(replace(rule, applies=clock.timed(f"rule {rule.reason}", rule.applies)) for rule in rules)

    def read(week: str) -> pd.DataFrame:
        with clock.on("read Parquet"):
            return pd.concat([pd.read_parquet(folder / f"{kind}-{week}.parquet") for kind in ("message", "step")])

    for number, (week, rows, lookback) in enumerate(clean.weeks_with_lookback(weeks, weeks[0], read)):
        read_at = bounds(week)[1] + timedelta(hours=1)
        extractions = {kind: clean.Extraction(f"{kind}-{week}", read_at) for kind in ("message", "step")}
        result = clean.clean_week(rows, lookback, settings, extractions, personal_data)
        found.update({"rows": len(rows), "clean": len(result.clean)})
        found.update(result.quarantined["reason"])
        if number == EARLY:
            memory.append(peak_mb())
    clean.RULES = rules
    return {"found": dict(found), "memory": [*memory, peak_mb()]}


def text_rules(folder: Path, weeks: list[str]) -> list[dict[str, Any]]:
    """What looking at a distinct text costs: for personal data, the cheap test included, and for near duplicates."""
    frames = [pd.read_parquet(folder / f"message-{week}.parquet", columns=["query", "response"]) for week in weeks[:12]]
    texts = pd.concat([frame[name] for frame in frames for name in ("query", "response")]).dropna().drop_duplicates()
    personal_data = PersonalData(CleaningSettings().phone_regions)
    start = time.perf_counter()
    looked_at = personal_data.suspicious(texts)
    cheap = time.perf_counter() - start
    changed = sum(personal_data.redacted_text(text) != text for text in looked_at)
    personal = time.perf_counter() - start
    queries = pd.concat([frame["query"] for frame in frames]).dropna().map(normalised).unique()[:QUERIES]
    start = time.perf_counter()
    seen = NearDuplicates(queries, SplitSettings().near_duplicate)
    for query in queries:
        seen.like(query)
        seen.add(query)
    near = time.perf_counter() - start
    return [
        {
            "what": "personal data",
            "texts": len(texts),
            "looked_at": len(looked_at),
            "found_in": changed,
            "microseconds_per_text": 1e6 * personal / len(texts),
            "microseconds_per_text_looked_at": 1e6 * (personal - cheap) / len(looked_at),
        },
        {"what": "near duplicates", "texts": len(queries), "microseconds_per_text": 1e6 * near / len(queries)},
    ]


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    weeks = weeks_between(FIRST, earlier(FIRST, 1 - WEEKS))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, whatever starts threads
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maker = multiprocessing.get_context("spawn").Process(target=write_votes, args=(folder, weeks, ROWS, SEED))
        maker.start()  # apart, so that the peak of memory is the cleaning's
        maker.join()
        seconds, outcomes, clock = [], [], Clock()
        for _ in range(PASSES):
            clock = Clock()
            start = time.perf_counter()
            outcomes.append(one_pass(folder, weeks, clock))
            seconds.append(time.perf_counter() - start)
        texts = text_rules(folder, weeks)
    spent = dict(clock.seconds)
    spent["sorting, window, frames"] = seconds[-1] - sum(spent.values())
    rows = outcomes[-1]["found"]["rows"]
    print(  # noqa: T201
        json.dumps(
            {
                "name": "cleaning",
                "ours": median(seconds),
                "peer": None,
                "ratio": None,
                "unit": "rows per second through the row rules on one core",
                "value": rows / median(seconds),
                "interval": [rows / max(seconds), rows / min(seconds)],
                "seeds": [SEED],
                "rows": [
                    *({"what": what, "seconds": value} for what, value in sorted(spent.items(), key=lambda e: -e[1])),
                    *texts,
                    {"what": "votes", **outcomes[-1]["found"]},
                    {
                        "what": "peak memory",
                        f"mb_after_{EARLY + 1}_weeks": outcomes[0]["memory"][0],
                        "mb": outcomes[-1]["memory"][1],
                    },
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
