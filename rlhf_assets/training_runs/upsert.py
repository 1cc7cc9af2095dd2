"""Rows into `rlhf_training_runs`, any number of times and in any order."""

from collections.abc import Iterable
from dataclasses import asdict

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from rlhf_assets.training_runs.receipts import leave
from rlhf_assets.training_runs.record import RunRow

# A row moves forward only: to a later attempt, from started to how the same attempt ended, and to completed even after
# that attempt was given up; what was recorded of a model outlives the model's folder.
UPSERT = """
    INSERT INTO public.rlhf_training_runs AS old
        (id, model_type, training_status, start_time, end_time, metrics, model_path)
    VALUES (%(id)s, %(model_type)s, %(training_status)s, %(start_time)s, %(end_time)s, %(metrics)s, %(model_path)s)
    ON CONFLICT (id) DO UPDATE SET
        training_status = excluded.training_status,
        start_time = excluded.start_time,
        end_time = excluded.end_time,
        metrics = excluded.metrics,
        model_path = excluded.model_path
    WHERE (old.training_status, old.start_time, old.end_time, old.metrics, old.model_path)
            IS DISTINCT FROM
          (excluded.training_status, excluded.start_time, excluded.end_time, excluded.metrics, excluded.model_path)
      AND (old.training_status <> 'completed' OR excluded.training_status = 'completed')
      AND (old.model_path IS NULL OR excluded.model_path IS NOT NULL)
      AND ((excluded.metrics ->> 'attempt')::int > (old.metrics ->> 'attempt')::int
           OR ((excluded.metrics ->> 'attempt')::int = (old.metrics ->> 'attempt')::int
               AND (old.training_status = 'started' OR excluded.training_status IN (old.training_status, 'completed'))))
"""


STARTED = """
    SELECT id, model_type, training_status, start_time, end_time, metrics, model_path
    FROM public.rlhf_training_runs WHERE training_status = 'started' AND metrics ? 'dagster_run_id'
"""


def started(connection: psycopg.Connection) -> list[RunRow]:
    """The rows of trainings that are under way, as far as the table says."""
    with connection.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(STARTED).fetchall()


def upsert(connection: psycopg.Connection, rows: Iterable[RunRow]) -> int:
    """Write the rows in one transaction and return how many of them changed anything."""
    written = 0
    with connection.transaction():
        for row in sorted(rows, key=lambda row: row.id):  # two writers never wait for each other both
            written += connection.execute(UPSERT, {**asdict(row), "metrics": Jsonb(row.metrics)}).rowcount
        if written:
            leave(connection)
    return written
