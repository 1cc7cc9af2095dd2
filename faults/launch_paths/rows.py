"""Whether the rows of a launch read as they must; nothing here asks the recorder."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.launch_paths.deployment import Deployment
from faults.launch_paths.launches import TYPES, Launched
from rlhf_assets.storage.card import Card

CLOSE = 1.0  # seconds between a step's start in Dagster's own statistics and in the row


def wrong(deployment: Deployment, launched: Launched) -> list[str]:
    """What is wrong with the rows of these runs, a line each."""
    rows = [row for row in deployment.rows() if row["metrics"]["dagster_run_id"] in launched.runs]
    wanted = {(TYPES[asset], week): asset for asset, week in launched.rows}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["model_type"], row["metrics"]["week"]), []).append(row)
    weeks = [row["metrics"]["week"] for row in rows]  # by start
    said = ["not in the order of the weeks"] if launched.in_turn and weeks != sorted(weeks) else []
    said += [f"{model} of {week}: nobody asked for it" for model, week in found.keys() - wanted.keys()]
    for (model, week), asset in wanted.items():
        of_model = found.get((model, week), [])
        if len(of_model) != 1:
            said.append(f"{model} of {week}: {len(of_model)} rows")
        else:
            said += [f"{model} of {week}: {what}" for what in misread(deployment, launched, asset, of_model[0])]
    return said


def misread(deployment: Deployment, launched: Launched, asset: str, row: Mapping[str, Any]) -> Iterator[str]:
    """What that one row says wrongly."""
    metrics, run = row["metrics"], row["metrics"]["dagster_run_id"]
    if row["training_status"] != launched.status:
        yield f"{row['training_status']}, not {launched.status}"
    if metrics["attempt"] != launched.attempt:
        yield f"attempt {metrics['attempt']}, not {launched.attempt}"
    yield from mistimed(deployment, asset, row)
    if not says(launched, metrics):
        yield f"metrics tell {', '.join(sorted(metrics))}"
    if row["model_path"] is None:
        if launched.status == "completed" and "skipped" not in metrics:
            yield "no path"
        return
    card = Path(row["model_path"]) / "card.json"
    if not card.exists():
        yield f"no card at {row['model_path']}"
    elif (made := Card.model_validate_json(card.read_text())).run_id != run or made.week != metrics["week"]:
        yield "the path of another run's model"
    if not (metrics.get("code_version") and metrics.get("dataset_hash")):
        yield "no code version or no dataset"


def says(launched: Launched, metrics: Mapping[str, Any]) -> bool:
    try:
        return launched.metrics(metrics)
    except KeyError:
        return False


def mistimed(deployment: Deployment, asset: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Start and end against Dagster's own statistics of the step."""
    (step,) = deployment.instance.get_run_step_stats(row["metrics"]["dagster_run_id"], [asset])
    start, end = row["start_time"], row["end_time"]
    if step.start_time is None or abs(start.timestamp() - step.start_time) > CLOSE:
        yield f"started {start}, its step at {step.start_time}"
    if row["training_status"] == "started":
        if end is not None:
            yield "has an end while it runs"
    elif end is None:
        yield "has no end"
    elif not start <= end <= datetime.now(UTC):
        yield f"ended {end}, started {start}"
