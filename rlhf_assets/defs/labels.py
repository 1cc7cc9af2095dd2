"""What the UI tells of an asset before it is made: how fresh it has to be, whose words it holds, its columns."""

from datetime import timedelta
from typing import Any

import dagster as dg

from rlhf_assets.feedback.columns import Columns

# the weekly run has the Sunday and one more day for what must be mended by hand; a backfill of an old week counts too
FEEDBACK_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=9))

# a week may have too little to learn from; three in a row are also what an alert tells
MODEL_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=23), warn_window=timedelta(days=9))

USER_TEXT = {"holds": "user_text"}  # tag of what `rlhf forget` takes rows out of


def column_schema(columns: Columns) -> dict[str, Any]:
    """Definition metadata that the UI shows as a table of columns."""
    schema = [dg.TableColumn(name, column.type, column.holds) for name, column in columns.items()]
    return {"dagster/column_schema": dg.TableSchema(schema)}
