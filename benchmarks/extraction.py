"""Votes into Parquet against COPY read and thrown away: `python -m benchmarks.extraction [--rows N]`.

A million ratings over 104 weeks, one in four of a step, in an embedded PostgreSQL of this benchmark's own, which stays
under `.rlhf/benchmarks` for the next time. A pair reads every week and kind both ways, one right after the other. The
interval is the lowest and the highest of the pairs. Peak memory is that of a process which does nothing else.
"""

import argparse
import json
import logging
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from rlhf_assets.commands.output import show_progress
from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.feedback.read import COPY_WEEK, PLAIN_TEXT, write_week
from rlhf_assets.feedback.weeks import bounds, earlier, weeks_between
from rlhf_assets.progress import Progress
from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.database import PIPELINE_ROLE, connect
from rlhf_assets.storage.home import home
from rlhf_assets.storage.migrations import local_baseline, migrate

log = logging.getLogger("rlhf_assets.benchmarks.extraction")

FIRST = "2024-01-07"
WEEKS = weeks_between(FIRST, earlier(FIRST, -103))
KINDS = ("message", "step")
PAIRS = 5
WORDS = 62  # an answer of about 400 characters
FEW = 10_000

# Chats follow each other through the weeks, so that rows lie in the order of their time, as they do in an app. Each has
# two questions and two answers; of those answers people rate 15 of 16, and two steps in the later one of every chat in
# three and a bit.
MAKE = """
create function moment(chat bigint, seconds int) returns timestamptz language sql immutable as
    $$ select '{start}'::timestamptz + chat * interval '104 weeks' / {chats} + seconds * interval '1 second' $$;
insert into users (id, segment)
    select md5('user ' || n)::uuid, (array['worker', 'student', 'farmer'])[1 + n % 3]
    from generate_series(0, 19999) as n;
insert into chats (id, user_id, query, system_prompt, created_at)
    select md5('chat ' || n)::uuid, md5('user ' || n % 20000)::uuid, 'What does measure ' || n || ' cost a town?',
        'You are the assistant of a small town. Be brief.', moment(n, 0)
    from generate_series(0, {chats} - 1) as n;
insert into messages (id, chat_id, role, content, model_version, created_at)
    select md5('message ' || n || '/' || turn)::uuid, md5('chat ' || n)::uuid,
        case when turn % 2 = 0 then 'user' else 'assistant' end,
        case when turn % 2 = 0 then 'What does measure ' || n || ' cost a town, asked for time ' || turn || '?'
            else answer.content end,
        case when turn % 2 = 1 then 'v1' end, moment(n, 10 * turn)
    from generate_series(0, {chats} - 1) as n cross join generate_series(0, 3) as turn
    left join answer on turn % 2 = 1 and answer.number = 2 * n + turn / 2;
insert into reasoning_steps (id, chat_id, message_id, step_content, step_order, created_at)
    select md5('step ' || n || '/' || part)::uuid, md5('chat ' || n)::uuid, md5('message ' || n || '/3')::uuid,
        substr(answer.content, 1 + 130 * part, 130), part, moment(n, 30 + part)
    from generate_series(0, {chats} - 1) as n cross join generate_series(0, 2) as part
    join answer on answer.number = 2 * n + 1 where n % 16 < 5;
insert into chat_feedback (user_id, chat_id, message_id, feedback, feedback_score, created_at)
    select md5('user ' || n % 20000)::uuid, md5('chat ' || n)::uuid, md5('message ' || n || '/' || turn)::uuid,
        case when n % 3 = 0 then 'negative' else 'positive' end, case when n % 2 = 0 then 1 + n % 5 end,
        moment(n, 40 + turn)
    from generate_series(0, {chats} - 1) as n cross join unnest(array[1, 3]) as turn where (2 * n + turn / 2) % 16 > 0;
insert into chat_feedback (user_id, chat_id, step_id, feedback, created_at)
    select md5('user ' || n % 20000)::uuid, md5('chat ' || n)::uuid, md5('step ' || n || '/' || part)::uuid,
        case when n % 3 = 0 then 'negative' else 'positive' end, moment(n, 45 + part)
    from generate_series(0, {chats} - 1) as n cross join unnest(array[0, 2]) as part where n % 16 < 5;
"""


def database(rows: int) -> str:
    """The URL, as the pipeline's role, of a database with that many ratings; made once."""
    place = home() / "benchmarks" / "extraction"
    embedded_postgres.start(place)
    name = f"ratings_{rows}"
    with psycopg.connect(embedded_postgres.url(place, "postgres"), autocommit=True) as server:
        there = server.execute("select from pg_database where datname = %s", [name]).fetchone()
        if there is None:
            server.execute("drop database if exists making")
            server.execute("create database making")
            fill(embedded_postgres.url(place, "making"), rows)
            server.execute(f"alter database making rename to {name}")  # whole, or not there
    return embedded_postgres.url(place, name, PIPELINE_ROLE)


def fill(url: str, rows: int) -> None:
    draw = random.Random(0)  # noqa: S311
    words = " ".join(line["response"] for line in read_lines(ANSWERS)).split()
    chats = rows * 2 // 5
    with psycopg.connect(url, autocommit=True) as connection:
        local_baseline(connection)
        migrate(connection)
        connection.execute("set synchronous_commit = off")
        connection.execute("create temporary table answer (number bigint primary key, content text)")
        progress = Progress("answers", 2 * chats)
        with connection.cursor().copy("copy answer from stdin") as copy:
            for number in range(2 * chats):
                copy.write_row((number, " ".join(draw.choices(words, k=WORDS))))
                progress.step()
        statements = [one for one in MAKE.format(start=bounds(FIRST)[0], chats=chats).split(";\n") if one.strip()]
        progress = Progress("tables", len(statements) + 1)
        for statement in statements:
            connection.execute(statement.encode())
            progress.step()
        connection.execute("vacuum analyze")
        progress.step()


def extract(connection: psycopg.Connection, kind: str, week: str, folder: Path) -> int:
    return write_week(connection, kind, week, folder / "rows.parquet").rows


def throw_away(connection: psycopg.Connection, kind: str, week: str, folder: Path) -> int:
    """The same query with the same settings, COPY's own default format, nothing done with what arrives."""
    start, end = bounds(week)
    query = COPY_WEEK.as_string().replace(" (format csv)", "")
    rows = 0
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(PLAIN_TEXT)
        with cursor.copy(query.encode(), {"kind": kind, "start": start, "end": end}) as lines:
            for _ in lines:
                rows += 1
    return rows


def pair(url: str, number: int, progress: Progress) -> dict[str, float]:
    """Rows per second of both ways over every week and kind; who goes first changes."""
    ways: list[Callable[..., int]] = [extract, throw_away]
    seconds, rows = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0)
    with connect(url, read_only=True) as connection, tempfile.TemporaryDirectory() as folder:
        for place, week in enumerate(WEEKS):
            for kind in KINDS:
                for way in ways if (place + number) % 2 else reversed(ways):
                    began = time.perf_counter()
                    rows[way] += way(connection, kind, week, Path(folder))
                    seconds[way] += time.perf_counter() - began
            progress.step(f"{sum(rows.values()) / sum(seconds.values()):,.0f} rows/s")
    assert rows[extract] == rows[throw_away]  # noqa: S101
    ours, peer = (rows[way] / seconds[way] for way in ways)
    log.info("pair %d: %.0f against %.0f rows/s, ratio %.3f", number, ours, peer, ours / peer)
    return {"pair": number, "rows": rows[extract], "ours": round(ours), "peer": round(peer), "ratio": ours / peer}


def peak_memory(url: str, rows: int) -> float:
    """Megabytes that a process of its own holds at most while it writes weeks until it has that many rows."""
    command = [sys.executable, "-m", "benchmarks.extraction", "--memory", url, "--rows", str(rows)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603


def write_rows(url: str, rows: int) -> float:
    done = 0
    with connect(url, read_only=True) as connection, tempfile.TemporaryDirectory() as folder:
        for week in WEEKS:
            for kind in KINDS:
                if done < rows * 0.9:  # a week and kind is a hundredth of FEW or more
                    done += extract(connection, kind, week, Path(folder))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--memory", metavar="URL", help=argparse.SUPPRESS)  # this is the process to be measured
    asked = arguments.parse_args()
    if asked.memory:
        print(write_rows(asked.memory, asked.rows))  # noqa: T201
        return
    show_progress()
    url = database(asked.rows)
    progress = Progress("pairs", PAIRS * len(WEEKS))
    pairs = [pair(url, number, progress) for number in range(PAIRS)]
    memory = {str(rows): round(peak_memory(url, rows)) for rows in (FEW, asked.rows)}
    few, all_rows = memory.values()
    embedded_postgres.stop(home() / "benchmarks" / "extraction")
    ratios = [one["ratio"] for one in pairs]
    middle = statistics.median(ratios)
    print(  # noqa: T201
        json.dumps(
            {
                "name": "extraction",
                "unit": "rows per second",
                "ours": statistics.median(one["ours"] for one in pairs),
                "peer": statistics.median(one["peer"] for one in pairs),
                "ratio": middle,
                "value": middle,
                "interval": [min(ratios), max(ratios)],
                "seeds": [0],
                "rows": [*pairs, {"peak_memory_mb": memory, "growth_mb": all_rows - few}],
            }
        )
    )


if __name__ == "__main__":
    main()
