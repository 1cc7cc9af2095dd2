"""What votes count by how seldom their like are rated, by hand, and lengths as the database counts them."""

import numpy as np
import pandas as pd
import psycopg
import pytest

from rlhf_assets.feedback.coverage import COVERAGE_SCHEMA, read_coverage
from rlhf_assets.feedback.propensity import PRIOR, doublings, inverse_propensity
from rlhf_assets_tests.storage.conversations import insert

VOTES = pd.DataFrame(
    [
        ("message", "farmer", "x" * 16),
        ("message", "student", "x" * 31),
        ("message", None, "x" * 20),
        ("message", "student", "x" * 32),
        ("step", "farmer", "x" * 16),
        ("message", "stranger", "x" * 16),
    ],
    columns=["kind", "segment", "response"],
    index=[5, 3, 1, 0, 2, 4],
)


def coverage(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COVERAGE_SCHEMA.names)


def test_votes_from_where_people_seldom_rate_count_for_more() -> None:
    known = coverage(
        ("message", "farmer", 4, 60, 10),
        ("message", "farmer", 4, 40, 10),  # another week
        ("message", "student", 4, 100, 60),
        ("message", None, 4, 100, 40),
        ("step", "farmer", 4, 100, 1),
    )
    usual = 120 / 300
    expected = [usual / ((rated + PRIOR * usual) / (100 + PRIOR)) for rated in (20, 60, 40)]
    found = inverse_propensity(VOTES, known)
    assert found.tolist() == pytest.approx([*expected, 1, 1, 1])  # nobody knows of longer ones; one kind of step
    assert found.index.tolist() == VOTES.index.tolist()
    assert expected[0] > 1 > expected[1]
    assert expected[2] == pytest.approx(1)


def test_votes_count_one_on_average() -> None:
    cells = [("message", f"segment {i}", 4, 2000, rated) for i, rated in enumerate((200, 900, 1900))]
    rated = pd.DataFrame(
        [("message", name, "x" * 16) for _, name, _, _, rated in cells for _ in range(rated)], columns=VOTES.columns
    )
    assert inverse_propensity(rated, coverage(*cells)).mean() == pytest.approx(1, abs=0.02)


def test_where_nothing_is_known_all_count_one() -> None:
    nothing = COVERAGE_SCHEMA.empty_table().to_pandas()
    assert inverse_propensity(VOTES, nothing).tolist() == [1.0] * len(VOTES)
    assert inverse_propensity(VOTES.iloc[:0], nothing).empty
    assert inverse_propensity(VOTES, coverage(("message", "farmer", 4, 50, 0))).tolist() == [1.0] * len(VOTES)


def test_lengths_are_counted_as_the_database_counts_them(admin: psycopg.Connection, app_url: str) -> None:
    lengths = [0, *(2**i + d for i in range(16) for d in (-1, 0, 1))]
    for length in lengths:
        insert(admin, "messages", role="assistant", content="ä" * length, created_at="2026-03-02 00:00+00")
    with psycopg.connect(app_url) as pipeline:
        table = read_coverage(pipeline, "message", "2026-03-01")
        assert read_coverage(pipeline, "step", "2026-03-01").num_rows == 0
    served = table.to_pandas().set_index("doublings")["served"].to_dict()
    ours = doublings(pd.Series(["ä" * length for length in lengths]))
    assert served == dict(zip(*np.unique(ours, return_counts=True), strict=True))
