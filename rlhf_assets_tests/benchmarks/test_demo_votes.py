"""The demo's votes without a database, held against those with one."""

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from benchmarks import demo_votes
from rlhf_assets.demo.load import load_demo
from rlhf_assets.feedback.clean import typed
from rlhf_assets.feedback.coverage import read_coverage
from rlhf_assets.feedback.read import write_week
from rlhf_assets.feedback.weeks import weeks_between


def test_votes_are_those_that_an_extraction_reads(
    admin: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = load_demo(admin, dt.datetime(2026, 11, 22, 1, 0, tzinfo=dt.UTC))
    monkeypatch.setattr(demo_votes, "FIRST", first)
    files = [
        (week, kind, tmp_path / f"{kind}-{week}") for week in weeks_between(first, last) for kind in ("message", "step")
    ]
    for week, kind, path in files:
        write_week(admin, kind, week, path)
    extracted = in_order(pd.concat([pd.read_parquet(path) for *_, path in files]))
    pd.testing.assert_frame_equal(in_order(demo_votes.raw_votes()), extracted)
    coverage = demo_votes.demo_coverage()
    for (week, kind), counted in coverage.groupby(["week", "kind"]):
        viewed = read_coverage(admin, kind, week).to_pandas()
        cells = [counted[viewed.columns].reset_index(drop=True), viewed]
        pd.testing.assert_frame_equal(*cells, check_dtype=False)
    assert len(coverage[["week", "kind"]].drop_duplicates()) == len(files)


def in_order(votes: pd.DataFrame) -> pd.DataFrame:
    """Without votes on a user's own message, which cleaning refuses whatever stands before it."""
    votes = typed(votes[votes["message_role"] != "user"])
    jsons = {name: votes[name].map(json.loads) for name in ("context", "steps_before")}  # spacing differs
    return votes.assign(**jsons).sort_values("vote_id", ignore_index=True)
