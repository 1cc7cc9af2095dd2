"""The code location: everything under `defs/`."""

import warnings
from pathlib import Path

import dagster as dg

# a backfill of the whole loop is a run a week, as Dagster says here at every load; feedback alone is one run
warnings.filterwarnings("ignore", message="Asset job weekly_rlhf materializes assets with varying BackfillPolicies")


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
