"""What somebody who reaches the launchpad can fill in: settings of a training, but no place to write to, no code."""

from pathlib import Path

import dagster as dg
import pytest

from rlhf_assets.feedback.weeks import last_closed_week

WEEK = last_closed_week()


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.JobDefinition:
    from rlhf_assets.defs.automation.launch import asset_job

    monkeypatch.setenv("RLHF_ARTIFACTS", str(tmp_path / "artifacts"))
    return asset_job()


@pytest.mark.parametrize(
    ("asset", "resource", "form"),
    [
        ("reward_dataset", "artifacts", {"root": "/elsewhere"}),
        ("policy_evaluation", "gold", {"function": "os:system"}),
        ("raw_message_feedback", "database", {"url": "postgresql://somewhere/else"}),
    ],
)
def test_places_and_code_are_no_part_of_a_runs_configuration(
    job: dg.JobDefinition, asset: str, resource: str, form: dict[str, str]
) -> None:
    config = {"resources": {resource: {"config": form}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match=f"resources:{resource}"):
        job.execute_in_process(
            partition_key=WEEK, asset_selection=[dg.AssetKey(asset)], run_config=config, raise_on_error=False
        )


def test_every_field_of_a_resource_is_known(job: dg.JobDefinition) -> None:
    """A new field shows in the launchpad unasked: decide whether it may."""
    fields = {
        name: sorted(resource.config_schema.config_type.fields)  # type: ignore[union-attr]
        for name, resource in job.resource_defs.items()
        if name in ("artifacts", "compute", "database", "gold")
    }
    assert fields == {"artifacts": [], "database": [], "gold": [], "compute": ["device", "precision", "processes"]}


@pytest.mark.parametrize("week", ["../../outside", "/outside", f"{WEEK}/../../../outside"])
def test_a_week_of_the_runs_tags_that_is_none_makes_nothing(job: dg.JobDefinition, tmp_path: Path, week: str) -> None:
    tags = {"dagster/partition": week}
    with pytest.raises(ValueError, match=r"time data|unconverted data"):  # of Dagster, before anything starts
        job.execute_in_process(asset_selection=[dg.AssetKey("reward_dataset")], tags=tags, raise_on_error=False)
    assert not list(tmp_path.rglob("outside"))
    assert not (tmp_path / "artifacts").exists()
