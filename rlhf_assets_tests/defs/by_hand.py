"""Artifacts laid out by hand, where a week's order, a leak or a fault can be staged, and single assets run on them."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlhf_assets.feedback.weeks import last_closed_week
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets_tests.tiny_models import tiny_llama

WEEK = last_closed_week()
HALF, NOTHING = ({"value": value, "low": value - 0.1, "high": value + 0.1, "n": 400} for value in (0.5, 0.0))
GOOD_FIGURES: dict[str, Any] = {  # those of a reward model that the gates look at
    "questions": 100,
    **{"mse": HALF, "mse_ratio": HALF, "by_kind": {}, "by_segment": {}, "calibration": {"ece": NOTHING}},
    "length": {
        "mse_ratio": HALF,
        "excess": NOTHING,
        "questions": 60,
        "correlation_of_score": HALF,
        "correlation_of_ratings": HALF,
    },
}


def lay(store: ArtifactStore, asset: str, week: str, status: Any = "accepted", **card: Any) -> Artifact:
    with store.draft(asset, week, f"run of {asset}") as draft:
        return draft.commit(status, **card)


def with_frames(
    store: ArtifactStore, asset: str, frames: dict[str, pd.DataFrame], week: str = WEEK, **card: Any
) -> Artifact:
    with store.draft(asset, week, f"run of {asset}") as draft:
        for name, frame in frames.items():
            frame.to_parquet(draft.folder / f"{name}.parquet")
        return draft.commit(**card)


def lay_policy(store: ArtifactStore, asset: str, status: Any = "accepted", week: str = WEEK, **card: Any) -> Artifact:
    with store.draft(asset, week, f"run of {asset}") as draft:
        tiny_llama(draft.folder)
        return draft.commit(status, **card)


def lay_scorer(store: ArtifactStore, asset: str, encoder: Path, **card: Any) -> Artifact:
    """A reward model or judge as that encoder with a head drawn at random."""
    with store.draft(asset, WEEK, f"run of {asset}") as draft:
        AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1).save_pretrained(draft.folder)
        AutoTokenizer.from_pretrained(encoder).save_pretrained(draft.folder)
        return draft.commit(**card)


def materialize(
    asset: dg.AssetsDefinition,
    store: ArtifactStore,
    instance: dg.DagsterInstance | None = None,
    processes: int = 1,
    **settings: Any,
) -> dg.ExecuteInProcessResult:
    from rlhf_assets.defs.resources import Artifacts, ComputeResource, Gold

    compute = ComputeResource(device="cpu", processes=processes)
    resources = {"artifacts": Artifacts(), "compute": compute, "gold": Gold()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLHF_ARTIFACTS", str(store.root))
        return dg.materialize(
            [asset],
            partition_key=WEEK,
            instance=instance,
            resources=resources,
            run_config={"ops": {asset.op.name: {"config": settings}}},
            raise_on_error=False,
        )


def why_failed(result: dg.ExecuteInProcessResult) -> str | None:
    """What the failed step says to a person; None when it has a traceback alone."""
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    told = failure.step_failure_data.user_failure_data
    return told.description if told else None
