"""A year of feedback made in one run, against a run a week: `python -m benchmarks.backfill_year`.

52 weeks with as many ratings a week as the demo has, in an embedded PostgreSQL of the benchmarks' own: raw and clean
feedback. The peer is what `dagster job backfill` would ask for, a run a week, but in one process, which is its best.
Beside them stands what `rlhf backfill` makes by default, in one run too: the audit of each week, most of whose
time goes into pictures. Each way runs in a process of its own, on an empty artifact store and an empty database for
Dagster, and is timed from the process's start to its end. The interval is the lowest and the highest of the pairs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.extraction import WEEKS, database
from rlhf_assets.commands.output import show_progress
from rlhf_assets.demo import feedback as demo
from rlhf_assets.demo.load import demo_tables
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.home import home

YEAR = WEEKS[:52]
PAIRS = 3
ONE_RUN, RUN_A_WEEK, WITH_AUDIT = WAYS = ("one run", "a run a week", "one run with the audit")


def make(way: str) -> None:
    """All of it in this process, whose environment says where."""
    from rlhf_assets.commands.backfill import FEEDBACK
    from rlhf_assets.commands.instance import open_instance
    from rlhf_assets.defs.automation.launch import materialize_weeks

    show_progress()
    with open_instance() as instance:
        names = [name for name in FEEDBACK if name != "feedback_audit" or way == WITH_AUDIT]
        for weeks in [[week] for week in YEAR] if way == RUN_A_WEEK else [YEAR]:
            if not materialize_weeks(instance, names, weeks):
                sys.exit(1)


def votes_a_week() -> int:
    """As many as the demo has."""
    return len(list(dict(demo_tables())["chat_feedback"])) // demo.WEEKS


def timed(way: str, url: str, votes: int) -> float:
    """Seconds that a process takes for it; RuntimeError unless it has made a year of so many votes a week."""
    place = home() / "benchmarks" / "extraction"
    with tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(embedded_postgres.url(place, "postgres"), autocommit=True) as server:
            server.execute("drop database if exists backfill_year with (force)")
            server.execute("create database backfill_year")
        dagster = embedded_postgres.url(place, "backfill_year").replace("://", "+psycopg2://", 1)
        own = {
            "RLHF_HOME": folder,
            "RLHF_ARTIFACTS": str(Path(folder) / "artifacts"),
            "RLHF_FIRST_WEEK": YEAR[0],
            "SUPABASE_DB_URL": url,
            "SUPABASE_ADMIN_DB_URL": url,
            "DAGSTER_POSTGRES_URL": dagster,
            "DAGSTER_HOME": str(Path(folder) / "dagster"),
        }
        command = [sys.executable, "-m", "benchmarks.backfill_year", "--make", way]
        began = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, **own})  # noqa: S603
        took = time.perf_counter() - began
        made = sum(
            json.loads(card.read_text())["counts"]["rows"]
            for card in Path(folder).glob("artifacts/raw_*/*/*/card.json")
        )
    if made < 0.9 * len(YEAR) * votes:
        raise RuntimeError(f"only {made} votes were extracted of a year of {votes} a week")
    return took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    arguments.add_argument("--make", choices=WAYS, help=argparse.SUPPRESS)  # this is the process to be timed
    asked = arguments.parse_args()
    if asked.make:
        return make(asked.make)
    show_progress()
    votes = votes_a_week()
    url = database(votes * len(WEEKS))
    pairs = []
    for number in range(asked.pairs):
        order = WAYS if number % 2 == 0 else WAYS[::-1]
        took = {way: timed(way, url, votes) for way in order}
        pairs.append({"pair": number, "ours": took[ONE_RUN], "peer": took[RUN_A_WEEK], "with_audit": took[WITH_AUDIT]})
    embedded_postgres.stop(home() / "benchmarks" / "extraction")
    ratios = [pair["peer"] / pair["ours"] for pair in pairs]
    middle = statistics.median(ratios)
    print(  # noqa: T201
        json.dumps(
            {
                "name": "backfill_year",
                "unit": "seconds",
                "ours": statistics.median(pair["ours"] for pair in pairs),
                "peer": statistics.median(pair["peer"] for pair in pairs),
                "ratio": middle,
                "value": statistics.median(pair["ours"] for pair in pairs),
                "interval": [min(pair["ours"] for pair in pairs), max(pair["ours"] for pair in pairs)],
                "seeds": [0],
                "with_audit": statistics.median(pair["with_audit"] for pair in pairs),
                "rows": [*pairs, {"weeks": len(YEAR), "votes_a_week": votes}],
            }
        )
    )


if __name__ == "__main__":
    main()
