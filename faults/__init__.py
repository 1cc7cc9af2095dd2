"""What must not happen on a Sunday night, made to happen: `python -m faults.NAME` prints a table and exits 1 on red."""
