"""runs, on rows of every kind, for people and for programs."""

import json
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from rlhf_assets_tests.commands.runner import rlhf

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "reward": ("completed", {"skipped": "3 votes to train on"}),
    "judge": ("completed", {"gate": "rejected", "reasons": ["it likes length"]}),
    "sft": ("failed", {"error": "the loss is nan"}),
    "policy": ("completed", {"gate": "demoted", "reasons": ["demoted by ann: too long"]}),
}


@pytest.fixture
def recorded(settings: None, app_url: str) -> None:
    insert = "insert into rlhf_training_runs (model_type, training_status, metrics) values (%s, %s, %s)"
    with psycopg.connect(app_url) as connection:
        for model, (status, metrics) in ROWS.items():
            connection.execute(insert, [model, status, Jsonb(metrics)])


def test_a_program_reads_what_came_of_a_training_beside_the_tables_own_status(recorded: None) -> None:
    rows = json.loads(rlhf("runs", "--json").stdout)["runs"]
    found = {row["model_type"]: (row["training_status"], row["outcome"]) for row in rows}
    assert found == {
        "reward": ("completed", "skipped"),
        "judge": ("completed", "completed"),
        "sft": ("failed", "failed"),
        "policy": ("completed", "completed"),
    }


def test_a_person_reads_each_verdict_once(recorded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = [line.split(maxsplit=4) for line in rlhf("runs").stdout.splitlines()[1:]]
    assert {model: (status, verdict.strip()) for _, _, model, status, verdict in lines} == {
        "reward": ("skipped", "3 votes to train on"),
        "judge": ("completed", "rejected; it likes length"),
        "sft": ("failed", "the loss is nan"),
        "policy": ("completed", "demoted by ann: too long"),
    }
