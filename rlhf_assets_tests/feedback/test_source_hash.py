"""The hash of source rows: blind to how they were cut, not to any value, its place or its absence."""

import hypothesis.strategies as st
import pyarrow as pa
from hypothesis import given

from rlhf_assets.feedback.source_hash import SourceHash

SCHEMA = pa.schema({"text": pa.string(), "other": pa.string(), "number": pa.int64(), "at": pa.timestamp("us", "UTC")})
TEXTS = st.none() | st.text(max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"text": TEXTS, "other": TEXTS, "number": st.none() | st.integers(-2, 2), "at": st.none() | st.integers(0, 2)}
    ),
    max_size=5,
)


def hashed(rows: list[dict[str, object]], cut: int) -> str:
    made = SourceHash(SCHEMA)
    for block in (rows[:cut], rows[cut:]):
        made.update(pa.Table.from_pylist(block, SCHEMA))
    return made.hexdigest()


@given(ROWS, ROWS, st.integers(0, 5), st.integers(0, 5))
def test_equal_hashes_are_equal_rows(
    rows: list[dict[str, object]], others: list[dict[str, object]], cut: int, other_cut: int
) -> None:
    assert hashed(rows, cut) == hashed(rows, other_cut)
    assert (hashed(rows, cut) == hashed(others, other_cut)) == (rows == others)


def test_a_text_that_moves_over_is_another_row() -> None:
    row: dict[str, object] = {"text": "ab", "other": "c", "number": 1, "at": None}
    assert hashed([row], 0) != hashed([{**row, "text": "a", "other": "bc"}], 0)
    assert hashed([row, {**row, "text": ""}], 0) != hashed([{**row, "text": "a"}, {**row, "text": "b"}], 0)
    assert hashed([{**row, "text": ""}], 0) != hashed([{**row, "text": None}], 0)


def test_a_profile_that_changes_is_no_change() -> None:
    def with_segment(segment: str) -> str:
        made = SourceHash(pa.schema({"segment": pa.string(), "text": pa.string()}))
        made.update(pa.table({"segment": [segment], "text": ["the same"]}))
        return made.hexdigest()

    assert with_segment("student") == with_segment("teacher")
