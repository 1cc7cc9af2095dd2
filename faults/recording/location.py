"""The code location of a daemon in `faults.recording`: small models and the project's own recorder."""

import os

import dagster as dg

from faults.recording import defects
from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.defs.training_runs import recorder
from rlhf_assets_tests.defs.small_models import ASSETS

recorder.REREAD = 0  # as in every check
if planted := os.environ.get(defects.IN_DAEMON):
    getattr(defects, planted)().__enter__()

defs = dg.Definitions(
    assets=ASSETS,
    sensors=[recorder.training_run_recorder],
    resources={"database": Database(), "artifacts": Artifacts()},
)
