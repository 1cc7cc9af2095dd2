"""What a week's source rows were, as one hash: the same for the same rows in the same order, however they are cut."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NOT_THE_VOTES = ("segment",)  # of a person's profile, as it stands today: their old votes are what they were
MISSING = -1  # no text has this length
NEVER = np.iinfo(np.int64).min  # no number or moment of the source is this one


class SourceHash:
    """SHA-256 over each column of the tables that it is given, one after the other."""

    def __init__(self, schema: pa.Schema) -> None:
        self.columns = {
            name: (hashlib.sha256(), hashlib.sha256()) for name in schema.names if name not in NOT_THE_VOTES
        }

    def update(self, table: pa.Table) -> None:
        for name, (lengths, values) in self.columns.items():
            column = table[name].combine_chunks()
            if pa.types.is_string(column.type):
                lengths.update(pc.fill_null(pc.binary_length(column), MISSING).to_numpy())
                values.update(column.buffers()[2] or b"")
            else:
                values.update(pc.fill_null(column.cast(pa.int64()), NEVER).to_numpy())

    def hexdigest(self) -> str:
        parts = [part.digest() for column in self.columns.values() for part in column]
        return hashlib.sha256(b"".join(parts)).hexdigest()
