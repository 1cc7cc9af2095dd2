"""How much the assistant was used, voted on or not: the view `rlhf.activity`, which holds numbers alone."""

import pandas as pd
import psycopg

COLUMNS = ("week", "cut", "name", "messages", "rated", "chats", "users", "returned")
NUMBERS = list(COLUMNS[3:])


def read_activity(connection: psycopg.Connection, weeks: list[str]) -> pd.DataFrame:
    """The view's rows of these weeks with the columns COLUMNS; its own file says what they mean."""
    query = (
        "select week::text, cut, name, messages, rated, chats, users, returned from rlhf.activity where week = any(%s)"
    )
    with connection.transaction():
        rows = connection.execute(query, [weeks]).fetchall()
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS[:3], "str"))
    return frame.astype(dict.fromkeys(NUMBERS, "int64"))
