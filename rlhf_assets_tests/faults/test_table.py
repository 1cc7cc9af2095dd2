"""The table itself: it must not be able to call a check green that found something, or that can find nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from faults.table import Fault, show, tried

BROKEN: list[str] = []


@contextmanager
def broken() -> Iterator[None]:
    BROKEN.append("two rows of one run")
    try:
        yield
    finally:
        BROKEN.clear()


def fault(*, finds: bool, wrong: list[str] | None = None) -> Fault:
    """One whose check finds the planted defect or nothing, beside what is wrong anyway."""

    def check() -> list[str]:
        return [*(wrong or []), *(BROKEN if finds else [])]

    return Fault("a fault", "one row", check, "two rows", broken)


def test_a_check_that_finds_its_defect_and_nothing_else_is_green(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("them", tried([fault(finds=True), fault(finds=True)])) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["name"], told["green"], told["of"]) == ("them", 2, 2)
    assert [row["noticed"] for row in told["rows"]] == ["two rows of one run"] * 2


@pytest.mark.parametrize(
    ("red", "said"),
    [
        (fault(finds=True, wrong=["a row is missing"]), "a row is missing"),
        (fault(finds=False), "nothing"),
    ],
    ids=["finds something", "can find nothing"],
)
def test_one_red_check_fails_the_table(red: Fault, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert show("them", tried([fault(finds=True), red])) == 1
    printed = capsys.readouterr().out
    assert said in printed
    assert json.loads(printed.splitlines()[-1])["green"] == 1


def test_no_check_at_all_is_red() -> None:
    assert show("them", []) == 1


def test_a_check_that_breaks_is_red_and_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    def breaks() -> list[str]:
        if not BROKEN:
            return []
        raise ZeroDivisionError

    assert show("them", tried([Fault("a fault", "", breaks, "two rows", broken), fault(finds=True)])) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["green"], told["of"]) == (1, 2)
    assert [row["wrong"] for row in told["rows"]] == [["the check broke: ZeroDivisionError"], []]
