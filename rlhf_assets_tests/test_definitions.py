"""The code location as Dagster sees it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.test_utils import instance_for_test

import rlhf_assets
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import ArtifactStore

REPOSITORY = Path(rlhf_assets.__file__).parents[1]
TABLE = {
    "raw_feedback": {"raw_message_feedback", "raw_step_feedback"},
    "clean_feedback": {"clean_feedback", "quarantined_feedback", "feedback_audit"},
    "datasets": {"reward_dataset", "policy_prompts"},
    "reward_model": {"reward_model", "judge_model"},
    "policy": {"sft_policy", "ppo_estimate", "ppo_policy"},
    "evaluation": {"policy_evaluation", "promotion"},
}
ON_GPU = {"reward_model", "judge_model", "sft_policy", "ppo_estimate", "ppo_policy", "policy_evaluation"}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    from rlhf_assets.definitions import defs

    return defs()


def test_every_asset_is_there_and_labelled(defs: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    for group, names in TABLE.items():
        assert {name for name, spec in specs.items() if spec.group_name == group} == names
        assert (REPOSITORY / "rlhf_assets" / "defs" / group).is_dir()
    for name, spec in specs.items():
        assert spec.owners == ["team:ml"], name
        assert spec.kinds, name
        assert spec.description, name
        assert spec.code_version, name
        assert isinstance(spec.partitions_def, dg.WeeklyPartitionsDefinition), name


def test_what_the_weekly_loop_makes_must_be_fresh(defs: dg.Definitions) -> None:
    """A week and a day at least, or every Sunday would be red until its run is done."""
    windows = {spec.key.to_user_string(): spec.freshness_policy for spec in defs.resolve_all_asset_specs()}
    assert windows.pop("ppo_estimate") is None
    for name, policy in windows.items():
        assert isinstance(policy, TimeWindowFreshnessPolicy), name
        first = policy.warn_window or policy.fail_window
        assert timedelta(days=8) < first.to_timedelta() < timedelta(days=14), name


def test_everything_says_what_it_is(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    checks = [spec for keys in repository.asset_checks_defs_by_key.values() for spec in keys.check_specs]
    assert "switched_on" in {spec.name for spec in checks}
    for told in (*checks, *repository.schedule_defs, *repository.sensor_defs, defs.resolve_job_def("weekly_rlhf")):
        assert told.description, told.name


def test_every_knob_in_the_launchpad_says_what_it_is(defs: dg.Definitions) -> None:
    """Of the weekly job and of the estimate; Dagster's own (execution, loggers, io_manager) are not ours."""
    fields = defs.resolve_implicit_global_asset_job_def().run_config_schema.config_type.fields
    ours = {name: op.config_type.fields.get("config") for name, op in fields["ops"].config_type.fields.items()}
    ours |= {
        name: resource.config_type.fields["config"]
        for name, resource in fields["resources"].config_type.fields.items()
        if name != "io_manager"
    }
    knobs = {name: form.config_type.fields for name, form in ours.items() if getattr(form.config_type, "fields", None)}
    assert {"reward_model", "ppo_policy", "ppo_estimate", "compute"} <= knobs.keys()
    silent = [f"{form}.{name}" for form, named in knobs.items() for name, knob in named.items() if not knob.description]
    assert silent == []
    wanting = [f"{form}.{name}" for form, named in knobs.items() for name, knob in named.items() if knob.is_required]
    assert wanting == []


def test_training_holds_the_gpu(defs: dg.Definitions) -> None:
    for assets in defs.assets or []:
        if isinstance(assets, dg.AssetsDefinition):
            gpu = {key.to_user_string() for key in assets.keys} & ON_GPU
            pools = assets.op.pools if isinstance(assets.op, dg.OpDefinition) else set()
            assert pools == ({"gpu"} if gpu else set())
            assert ("dagster-k8s/config" in assets.op.tags) == bool(gpu)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    """The project's own, and empty."""
    monkeypatch.setenv("RLHF_ARTIFACTS", str(tmp_path))
    return ArtifactStore(str(tmp_path))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as instance:
        yield instance


def asked(defs: dg.Definitions, instance: dg.DagsterInstance, tick: datetime) -> list[str | None]:
    """The weeks that the schedule asks for at that moment, in its order, which is that of their priority too."""
    from rlhf_assets.defs.resources import Artifacts

    repository = defs.get_repository_def()
    schedule = repository.get_schedule_def("weekly_rlhf_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 1 * * 0", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    resources = {"artifacts": Artifacts()}
    with dg.build_schedule_context(instance, tick, repository_def=repository, resources=resources) as context:
        requests = schedule.evaluate_tick(context).run_requests or []
    priorities = [int(request.tags["dagster/priority"]) for request in requests]
    assert priorities == sorted(set(priorities), reverse=True)
    return [request.partition_key for request in requests]


@pytest.mark.parametrize(
    ("tick", "weeks"),
    [
        (datetime(2026, 11, 22, 1, tzinfo=UTC), ["2026-11-15"]),
        (datetime(2026, 3, 8, 1, tzinfo=UTC), ["2026-03-01"]),
        (datetime(2026, 1, 4, 1, tzinfo=UTC), []),  # the first week has only begun
    ],
)
def test_the_schedule_asks_for_the_week_that_has_just_closed(
    defs: dg.Definitions, instance: dg.DagsterInstance, store: ArtifactStore, tick: datetime, weeks: list[str]
) -> None:
    assert store.assets() == []
    assert asked(defs, instance, tick) == weeks


def test_missed_sundays_are_made_up_for_oldest_first(
    defs: dg.Definitions, instance: dg.DagsterInstance, store: ArtifactStore
) -> None:
    """Down for three Sundays, Dagster itself evaluates the last one alone."""
    for week in ("2026-10-18", "2026-10-25"):
        with store.draft("clean_feedback", week, "a run") as draft:
            draft.commit()
    assert asked(defs, instance, datetime(2026, 11, 22, 1, tzinfo=UTC)) == ["2026-11-01", "2026-11-08", "2026-11-15"]
    with store.draft("clean_feedback", "2026-11-15", "by hand") as draft:
        draft.commit()
    assert asked(defs, instance, datetime(2026, 11, 22, 1, tzinfo=UTC)) == ["2026-11-01", "2026-11-08", "2026-11-15"]
    assert asked(defs, instance, datetime(2026, 11, 29, 1, tzinfo=UTC)) == ["2026-11-01", "2026-11-08", "2026-11-22"]


def test_a_week_whose_run_still_waits_or_that_only_a_refused_cleaning_has_is_no_week_made_or_asked_for_twice(
    defs: dg.Definitions, instance: dg.DagsterInstance, store: ArtifactStore
) -> None:
    sunday = datetime(2026, 11, 22, 1, tzinfo=UTC)
    for week, status in (("2026-11-01", "accepted"), ("2026-11-08", "rejected")):
        with store.draft("clean_feedback", week, "a run") as draft:
            draft.commit(status)
    assert asked(defs, instance, sunday) == ["2026-11-08", "2026-11-15"]
    job = defs.resolve_job_def("weekly_rlhf")
    waiting = instance.create_run_for_job(job, tags={**job.tags, "dagster/partition": "2026-11-08"})
    assert asked(defs, instance, sunday) == ["2026-11-15"]
    instance.report_run_canceled(waiting)
    assert asked(defs, instance, sunday) == ["2026-11-08", "2026-11-15"]


def test_weeks_before_the_first_one_are_not_asked_for(
    defs: dg.Definitions, instance: dg.DagsterInstance, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feedback is there from when the project began earlier."""
    with store.draft("clean_feedback", "2026-10-18", "a run") as draft:
        draft.commit()
    monkeypatch.setenv("RLHF_FIRST_WEEK", "2026-11-08")
    assert asked(defs, instance, datetime(2026, 11, 22, 1, tzinfo=UTC)) == ["2026-11-15"]


def test_the_weekly_job_makes_everything_but_an_estimate(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("weekly_rlhf")
    made = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert made == set().union(*TABLE.values()) - {"ppo_estimate"}


def test_the_recorder_is_on(defs: dg.Definitions) -> None:
    sensor = defs.get_repository_def().get_sensor_def("training_run_recorder")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 30


def test_the_launchpad_shows_the_projects_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
    from rlhf_assets.errors import RlhfError
    from rlhf_assets.reward.settings import RewardSettings

    (tmp_path / "own.toml").write_text("[RewardSettings]\nepochs = 17\n")
    monkeypatch.setenv("RLHF_SETTINGS", str(tmp_path / "own.toml"))

    @launchpad_form
    class Form(dg.Config, RewardSettings):
        """As beside the asset."""

    assert Form().epochs == 17
    assert status_of(settings_of(Form(), RewardSettings)) == "accepted"
    assert status_of(settings_of(Form(epochs=4), RewardSettings)) == "experiment"
    (tmp_path / "own.toml").write_text("[RewardSetting]\nepochs = 17\n")
    with pytest.raises(RlhfError, match=r"\[RewardSetting\]: there is no such table; there are .*RewardSettings, "):
        project_settings(RewardSettings)
    monkeypatch.delenv("RLHF_SETTINGS")
    assert project_settings(RewardSettings).epochs == RewardSettings().epochs != 17


def test_dagster_yaml_is_taken_by_a_real_instance(dagster_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    with dg.DagsterInstance.from_config(str(REPOSITORY)) as instance:
        assert instance.event_log_storage.get_pool_limits() == []
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.default_pool_limit == 1
        assert str(concurrency.pool_config.pool_granularity).endswith("OP")
        assert instance.run_monitoring_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert "rlhf_assets" in instance.managed_python_loggers
        assert not instance.telemetry_enabled
        assert instance.get_runs() == []
