"""The faults of the write-back: that all are there, and one of them for real."""

from faults.recording.__main__ import faults
from faults.recording.world import servers
from faults.table import tried

PROMISED = (
    "ten ticks",
    "Dagster's database",
    "between upsert and cursor",
    "200 runs",
    "clocks",
    "five times",
    "yesterday",
)


def test_each_fault_that_was_promised_is_tried() -> None:
    names = [fault.name for fault in faults(servers)]
    assert len(set(names)) == len(names)
    for words in PROMISED:
        assert any(words in name for name in names), words


def test_a_fault_is_withstood_and_its_defect_noticed() -> None:
    with servers() as new:
        (late,) = tried(fault for fault in faults(new) if "writes late" in fault.name)
    assert (late.wrong, late.green) == ([], True)
    assert late.noticed.startswith("missing")
