"""import and forget, on a real database."""

import json
from pathlib import Path

import psycopg
import pytest

from rlhf_assets_tests.commands.runner import json_lines, rlhf
from rlhf_assets_tests.storage.conversations import person, vote

GOOD = {"query": "What is a carbon price?", "response": "A fee on emissions.", "feedback_score": 4}
STEPS = {
    "query": "How do I insulate a roof?",
    "response": "1. Measure it.\n2. Fill the gaps.",
    "feedback": "positive",
    "step_feedback": [{"step": 1, "feedback": "negative"}],
}


def votes(connection: psycopg.Connection) -> int:
    return connection.execute("select count(*) from public.chat_feedback").fetchone()[0]


@pytest.mark.usefixtures("settings")
def test_bad_lines_are_reported_by_number_and_the_others_imported(admin: psycopg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "ratings.jsonl"
    bad = [{**GOOD, "feedback_score": 9}, "{not json", {"query": "no response"}]
    file.write_bytes(
        json_lines(GOOD, *bad, "", STEPS).encode()
        + b'{"query": "\xff", "response": "Yes, it is.", "feedback_score": 4}\n'
    )
    result = rlhf("import", file)
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["line 2", "line 3", "line 4", "line 7"]
    assert result.stdout == "6 lines read: 3 ratings imported, 0 known already, 4 lines refused\n"
    assert votes(admin) == 3


@pytest.mark.usefixtures("settings")
def test_importing_twice_changes_nothing(admin: psycopg.Connection) -> None:
    for imported, unchanged in ((3, 0), (0, 3)):
        result = rlhf("import", "-", "--json", stdin=json_lines(GOOD, STEPS))
        assert result.exit_code == 0
        assert json.loads(result.stdout) == {
            "read": 2,
            "imported_ratings": imported,
            "unchanged": unchanged,
            "problems": [],
        }
        assert result.stderr == ""
        assert votes(admin) == 3


@pytest.mark.usefixtures("settings")
def test_problems_stand_in_the_json_too() -> None:
    result = rlhf("import", "-", "--json", stdin=json_lines(GOOD, "[]"))
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["line"] == 2
    assert problem["error"]


@pytest.mark.usefixtures("settings")
def test_a_person_is_forgotten_before_any_model_has_learned(admin: psycopg.Connection) -> None:
    user = person(admin)
    vote(admin, user)
    result = rlhf("forget", user)
    assert result.stdout.splitlines() == [f"no vote of {user} will be extracted again", "no model learned from them"]
    assert admin.execute("select user_id from rlhf.forgotten").fetchall() == [(str(user),)]
