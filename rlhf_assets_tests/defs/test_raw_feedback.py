"""Extraction that is cut off: by a server that ends the connection, by a process that is killed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg
import pytest

from rlhf_assets.feedback.weeks import bounds, earlier, first_week, weeks_between
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore, file_sha256
from rlhf_assets_tests.full_disk import disk_for
from rlhf_assets_tests.storage.conversations import insert

FIRST = first_week()
WEEKS = weeks_between(FIRST, earlier(FIRST, -2))
RAW = "raw_message_feedback"
VOTES = 40  # a week, on an answer of a megabyte: a stream of a second or so, and far more than a socket holds
PATIENCE = 60.0

EXTRACT = """
import dagster as dg
from rlhf_assets.defs.automation.launch import materialize_weeks
with dg.DagsterInstance.ephemeral() as instance:
    assert materialize_weeks(instance, ["raw_message_feedback"], {weeks!r})
"""

Moment = Callable[[], object]


@pytest.fixture
def instance(settings: None, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RLHF_ARTIFACTS", str(store.root))
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def long_weeks(admin: psycopg.Connection) -> dict[str, list[str]]:
    """Three weeks that take a while to read; the ids of each one's votes in their order."""
    message = insert(admin, "messages", role="assistant", content="an answer, and " * 70_000)

    def rated(week: str, number: int) -> str:
        at = bounds(week)[0] + timedelta(hours=number)
        return str(insert(admin, "chat_feedback", message_id=message, created_at=at))

    return {week: [rated(week, number) for number in range(VOTES)] for week in WEEKS}


def streaming(admin: psycopg.Connection, at_least: int = 5) -> int | None:
    """The server process that is sending a week and has sent that many rows, but not nearly all."""
    question = """
        select pid from pg_stat_progress_copy
        where datname = current_database() and tuples_processed between %s and %s
    """
    row = admin.execute(question, [at_least, VOTES * 2 // 3]).fetchone()
    return row and row[0]


def wait_for(moment: Moment) -> object:
    """What `moment` gives as soon as that is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := moment()):
        assert time.monotonic() < deadline, "the moment never came"
    return found


def votes_of(artifact: Artifact) -> list[str]:
    return pd.read_parquet(artifact.path("rows.parquet"), columns=["vote_id"])["vote_id"].tolist()


def test_a_lost_connection_is_taken_up_again_after_the_weeks_already_there(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection, long_weeks: dict[str, list[str]]
) -> None:
    from rlhf_assets.defs.automation.launch import materialize_weeks

    def cut() -> str:
        process = wait_for(lambda: store.weeks(RAW) and streaming(admin))
        admin.execute("select pg_terminate_backend(%s)", [process])
        return store.all(RAW)[0].card.run_id

    with ThreadPoolExecutor(1) as beside:
        cut_off = beside.submit(cut)
        assert materialize_weeks(instance, [RAW], WEEKS)
    (run,) = instance.get_runs()
    retries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert len(retries) == 1
    assert {week: [votes_of(one) for one in store.of_week(RAW, week)] for week in WEEKS} == {
        week: [votes] for week, votes in long_weeks.items()
    }
    assert cut_off.result() == run.run_id


def test_the_card_says_what_the_source_was_like(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection, app_url: str
) -> None:
    from rlhf_assets.defs.automation.launch import materialize_weeks
    from rlhf_assets.feedback.read import week_fingerprint

    admin.execute("alter table chat_feedback add updated_at timestamptz")
    changed = bounds(FIRST)[0] + timedelta(days=9)
    insert(admin, "chat_feedback", feedback="positive", created_at=bounds(FIRST)[0], updated_at=changed)
    assert materialize_weeks(instance, [RAW], WEEKS[:2])
    with psycopg.connect(app_url) as connection:
        found = [week_fingerprint(connection, "message", week) for week in WEEKS[:2]]
    for week, now in zip(WEEKS, found, strict=False):
        source = store.require(RAW, week).card.figures["source"]
        assert pd.Timestamp(source.pop("read_at")) < now.read_at
        newest = changed.isoformat() if week == FIRST else None
        assert source == {"rows": now.rows, "sha256": now.sha256, "newest_updated_at": newest}
    assert [one.rows for one in found] == [1, 0]


def test_a_process_killed_at_any_moment_leaves_nothing_half_visible(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection, long_weeks: dict[str, list[str]]
) -> None:
    root = Path(str(store.root))
    moments: dict[str, Moment] = {
        "in the first week": lambda: streaming(admin),
        "between file and card": lambda: any(root.glob(f"{RAW}/*/*")),
        "after a week": lambda: len(store.weeks(RAW)) > 1 and streaming(admin, at_least=1),
    }
    command = [sys.executable, "-c", EXTRACT.format(weeks=WEEKS)]
    for moment in moments.values():
        process = subprocess.Popen(command)  # noqa: S603
        wait_for(moment)
        process.kill()
        assert process.wait() == -9
        wait_for(lambda: admin.execute("select from pg_stat_progress_copy").fetchone() is None)
        for artifact in store.all(RAW):
            assert file_sha256(Path(str(artifact.path("rows.parquet")))) == artifact.card.files["rows.parquet"]
            assert votes_of(artifact) == long_weeks[artifact.card.week]
    assert any((root / ".drafts").iterdir())
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603
    assert {week: votes_of(store.require(RAW, week)) for week in WEEKS} == long_weeks


def test_a_full_disk_is_one_line_and_not_tried_again(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    from rlhf_assets.defs.automation.launch import materialize_weeks

    insert(admin, "chat_feedback", feedback="positive", created_at=bounds(FIRST)[0])
    with disk_for(1000):
        assert not materialize_weeks(instance, [RAW], WEEKS[:1])
    (told,) = [record.message for record in caplog.records if "failed" in record.message]
    assert told.startswith(f"{RAW} failed: the disk is full")
    assert "\n" not in told
    (run,) = instance.get_runs()
    assert not instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert materialize_weeks(instance, [RAW], WEEKS[:1])
