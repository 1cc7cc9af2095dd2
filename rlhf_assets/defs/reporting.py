"""How every asset tells Dagster what it made: metadata, data version, skips, and errors a person can mend."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from rlhf_assets.compute import out_of_memory
from rlhf_assets.defs.lineage import made_from
from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import Artifact
from rlhf_assets.storage.full_disk import full_disk

OWNERS = ["team:ml"]
FEW_ROWS = 100  # below this a model is trained with a warning

# what a GPU engine needs to know; a local launcher does not read it
GPU_TAGS = {"dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}}


@contextmanager
def mendable(allow_retries: bool = False) -> Iterator[None]:
    """An RlhfError becomes a failure of one clear line; anything else is a bug and keeps its traceback.

    Trying again helps where the caller says so, and where a connection was lost.
    """
    try:
        yield
    except RlhfError as error:
        import psycopg

        lost = isinstance(error.__cause__, psycopg.OperationalError)
        raise dg.Failure(description=str(error), allow_retries=allow_retries or lost) from None
    except Exception as error:
        if told := out_of_memory(error) or full_disk(error):
            raise dg.Failure(description=str(told), allow_retries=False) from None
        raise


def figures_of(artifact: Artifact, shown: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The card as metadata, what people look for first on top: status, what else is `shown`, what it was made from,
    each single-number figure and count (the UI plots them over the weeks), where it lies.
    """
    card = artifact.card
    values = {
        name: figure.get("value") if isinstance(figure, dict) else figure for name, figure in card.figures.items()
    }
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    told = {
        "status": card.status,
        **({"reasons": dg.MetadataValue.text("\n".join(card.reasons))} if card.reasons else {}),  # name segments: no md
        **(shown or {}),
        **made_from(artifact),
        **numbers,
        **card.counts,
        "path": dg.MetadataValue.path(str(artifact.folder)),
        "artifact": artifact.relative_path,
        "content_hash": card.content_hash,
    }
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in told.items()}


def report(
    context: dg.AssetExecutionContext,
    made: Mapping[str, Artifact],
    asset: str,
    shown: Mapping[str, Any] | None = None,
    check_results: list[dg.AssetCheckResult] | None = None,
) -> dg.MaterializeResult:
    """One result for all weeks of the run; what belongs to one week goes to that week alone.

    Dagster writes one data version on every week of a run: a run over several weeks gets the hash of their hashes.
    """
    for week, artifact in made.items():
        context.add_asset_metadata(figures_of(artifact, shown), asset_key=asset, partition_key=week)
    hashes = [artifact.card.content_hash for artifact in made.values()]
    version = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return dg.MaterializeResult(asset_key=asset, data_version=dg.DataVersion(version), check_results=check_results)


def report_outside_run(
    instance: dg.DagsterInstance, artifact: Artifact, shown: Mapping[str, Any] | None = None
) -> None:
    """Show an artifact on its week in the UI that no run of this Dagster has made."""
    card = artifact.card
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=card.asset,
            partition=card.week,
            metadata=figures_of(artifact, shown),
            tags={"dagster/data_version": card.content_hash},
        )
    )


def skip(context: dg.AssetExecutionContext, week: str, reason: str) -> None:
    """Record why nothing was made: a step that yields nothing leaves no metadata of its own."""
    context.log.warning(f"skipped: {reason}")
    context.log_event(dg.AssetObservation(asset_key=context.asset_key, partition=week, metadata={"skipped": reason}))


def spanned(weeks: Sequence[str]) -> str:
    """The weeks that a run looked at, given oldest first."""
    return weeks[0] if len(weeks) == 1 else f"{weeks[0]} to {weeks[-1]}, {len(weeks)} weeks"


def few_rows(rows: int) -> dict[str, str]:
    """The warning that a model trained on so few rows carries in its metadata."""
    return {"warning": f"trained on {rows} rows only; do not trust it far"} if rows < FEW_ROWS else {}


def image(png: bytes) -> dg.MetadataValue:
    """A plot that the UI shows by itself."""
    import base64

    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
