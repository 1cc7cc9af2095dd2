"""What a webhook on this machine is told of runs of small assets that carry the pipeline's names."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._utils.error import SerializableErrorInfo

from rlhf_assets.feedback.weeks import earlier, last_closed_week
from rlhf_assets.storage.artifacts import ArtifactStore

WEEK = last_closed_week()
ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("rlhf_assets"), "__repository__").get_job_origin("a_job")
WEEKS = dg.WeeklyPartitionsDefinition(start_date="2026-01-04", timezone="UTC")


class Duty:
    """A chat service: what it was told, and how it answers."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answer = 200
        duty = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if duty.answer == 200:
                    duty.told += said["text"].splitlines()
                self.send_response(duty.answer)
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"


@pytest.fixture
def duty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Duty]:
    duty = Duty()
    thread = threading.Thread(target=duty.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("RLHF_ALERT_WEBHOOK", duty.url)
    yield duty
    duty.server.shutdown()
    duty.server.server_close()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("RLHF_ARTIFACTS", str(tmp_path / "artifacts"))
    with instance_for_test() as instance:
        yield instance


@dg.asset(partitions_def=WEEKS)
def fails() -> None:
    raise dg.Failure(description="the loss is nan; lower the rate", allow_retries=False)


@dg.asset(partitions_def=WEEKS)
def goes_well() -> None: ...


@dg.asset(partitions_def=WEEKS, check_specs=[dg.AssetCheckSpec("drift", asset="reward_model")])
def reward_model() -> dg.MaterializeResult:
    said = {"reasons": dg.MetadataValue.text("its error has doubled"), "questions": 40}
    warns = dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata=said)
    return dg.MaterializeResult(check_results=[warns])


@dg.asset(partitions_def=WEEKS, output_required=False)
def ppo_policy(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    observed = dg.AssetObservation("ppo_policy", partition=context.partition_key, metadata={"skipped": "3 votes"})
    context.log_event(observed)
    yield from ()


@dg.asset(partitions_def=WEEKS, output_required=False)
def sft_policy(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    observed = dg.AssetObservation("sft_policy", partition=context.partition_key, metadata={"skipped": "5 answers"})
    context.log_event(observed)
    yield from ()


@dg.asset(name="ppo_policy", partitions_def=WEEKS, output_required=False, deps=[sft_policy])
def ppo_after_sft() -> Iterator[dg.MaterializeResult]:
    yield dg.MaterializeResult()


def run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, tags: dict[str, str] | None = None) -> str:
    return dg.materialize(assets, partition_key=WEEK, instance=instance, raise_on_error=False, tags=tags).run_id


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> str | None:
    from rlhf_assets.defs.automation.alerts import alerts
    from rlhf_assets.defs.resources import Artifacts

    with dg.build_sensor_context(instance, cursor=cursor, resources={"artifacts": Artifacts()}) as context:
        return alerts.evaluate_tick(context).cursor


def test_a_failed_run_is_told_once(instance: dg.DagsterInstance, duty: Duty) -> None:
    run(instance, fails)  # before anybody listened
    cursor = tick(instance)
    failed = run(instance, fails)
    run(instance, goes_well)
    for _ in range(3):
        cursor = tick(instance, cursor)
    assert duty.told == [f"week {WEEK}: fails failed: the loss is nan; lower the rate (run {failed})"]


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_host_whose_clock_is_wrong_hides_no_failure(
    instance: dg.DagsterInstance, duty: Duty, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Neither its own nor, while its clock is ahead, a later one of a host whose clock is right."""
    cursor, right = tick(instance), time.time
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: right() + hours * 3600)
        run(instance, fails)
        cursor = tick(instance, cursor)
    run(instance, fails)
    tick(instance, cursor)
    assert len(duty.told) == 2


def test_a_canceled_run_is_not_told(instance: dg.DagsterInstance, duty: Duty) -> None:
    cursor = tick(instance)
    started = instance.create_run_for_job(dg.Definitions([goes_well]).resolve_implicit_global_asset_job_def())
    instance.report_run_canceled(started)
    tick(instance, cursor)
    assert duty.told == []


def test_a_run_that_will_be_tried_again_is_not_told(instance: dg.DagsterInstance, duty: Duty) -> None:
    cursor = tick(instance)
    run(instance, fails, tags={WILL_RETRY_TAG: "true"})
    tick(instance, cursor)
    assert duty.told == []


@pytest.fixture
def retrying(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """As dagster.yaml has it: a crashed run is tried again."""
    retries = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    with instance_for_test(overrides={"run_retries": retries}) as instance:
        yield instance


def test_a_crashed_run_is_told_unless_the_daemon_will_try_it_again(retrying: dg.DagsterInstance, duty: Duty) -> None:
    """Dagster says of both that it will: of a run from a shell, which has no origin, it finds out too late."""
    cursor = tick(retrying)
    shell, daemon = create_run_for_test(retrying), create_run_for_test(retrying, remote_job_origin=ORIGIN)
    for crashed in (shell, daemon):
        retrying.report_run_failed(crashed, "the process of this run was killed")
    cursor = tick(retrying, cursor)
    assert [retrying.get_run_by_id(run.run_id).tags[WILL_RETRY_TAG] for run in (shell, daemon)] == ["true", "true"]
    assert [line.partition("(")[2] for line in duty.told] == [f"run {shell.run_id})"]
    retrying.add_run_tags(daemon.run_id, {WILL_RETRY_TAG: "false"})  # its launch failed
    cursor = tick(retrying, tick(retrying, cursor))
    assert [line.partition("(")[2] for line in duty.told[1:]] == [f"run {daemon.run_id})"]


def test_a_run_that_is_failed_twice_is_told_once(instance: dg.DagsterInstance, duty: Duty) -> None:
    cursor = tick(instance)
    crashed = create_run_for_test(instance)
    for _ in range(2):
        instance.report_run_failed(crashed)
    cursor = tick(instance, cursor)
    instance.report_run_failed(crashed)
    tick(instance, cursor)
    assert len(duty.told) == 1


def test_a_broken_card_is_told_and_silences_nothing(instance: dg.DagsterInstance, duty: Duty, tmp_path: Path) -> None:
    with ArtifactStore(str(tmp_path / "artifacts")).draft("ppo_policy", WEEK, "a run") as draft:
        broken = draft.commit("candidate")
    Path(str(broken.folder), "card.json").write_text("{")
    cursor = tick(instance)
    run(instance, ppo_policy)
    run(instance, fails)
    tick(instance, cursor)
    assert "is no card" in duty.told[0]
    assert "the loss is nan" in duty.told[1]
    assert len(duty.told) == 2


def test_a_webhook_that_is_down_from_the_beginning_loses_nothing(instance: dg.DagsterInstance, duty: Duty) -> None:
    duty.answer = 500
    ticked(instance, "training_run_recorder", 20, "wrong credentials")
    cursor = tick(instance)
    run(instance, fails)
    with pytest.raises(dg.Failure):
        tick(instance, cursor)
    duty.answer = 200
    tick(instance, cursor)
    assert len(duty.told) == 2


def test_a_webhook_that_is_down_loses_nothing_and_its_url_is_not_told(instance: dg.DagsterInstance, duty: Duty) -> None:
    cursor = tick(instance)
    run(instance, fails)
    duty.answer = 500
    with pytest.raises(dg.Failure) as failed:
        tick(instance, cursor)
    assert failed.value.description == (
        "nothing is lost, the next tick tries again: the webhook answered 500; correct RLHF_ALERT_WEBHOOK"
    )
    duty.answer = 200
    tick(instance, cursor)
    assert len(duty.told) == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/secret-path",
        "secret-path",
        "http://127.0.0.1/a b/secret-path",
        "http://user:secret@127.0.0.1:1/",
        "https://[secret",
    ],
)
def test_a_webhook_that_is_none_is_told_without_its_url(
    instance: dg.DagsterInstance, duty: Duty, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    cursor = tick(instance)
    run(instance, fails)
    monkeypatch.setenv("RLHF_ALERT_WEBHOOK", url)
    with pytest.raises(dg.Failure) as failed:
        tick(instance, cursor)
    assert "cannot be reached" in str(failed.value.description)
    assert "secret" not in str(failed.value.description)


def test_drift_is_told(instance: dg.DagsterInstance, duty: Duty) -> None:
    cursor = tick(instance)
    run(instance, reward_model)
    tick(instance, cursor)
    assert duty.told == [f"week {WEEK}: reward_model warns of drift: its error has doubled"]


@pytest.mark.parametrize("weeks_ago", [None, 3, 2])
def test_the_third_week_without_a_policy_is_told(
    instance: dg.DagsterInstance, duty: Duty, tmp_path: Path, weeks_ago: int | None
) -> None:
    if weeks_ago:
        with ArtifactStore(str(tmp_path / "artifacts")).draft("ppo_policy", earlier(WEEK, weeks_ago), "a run") as draft:
            draft.commit("candidate")
    cursor = tick(instance)
    run(instance, ppo_policy)
    tick(instance, cursor)
    line = f"week {WEEK}: no policy for 3 weeks in a row; ppo_policy skipped: 3 votes"
    assert duty.told == ([] if weeks_ago == 2 else [line])


def test_a_policy_that_dagster_skipped_with_what_it_is_made_from_is_missed_too(
    instance: dg.DagsterInstance, duty: Duty
) -> None:
    cursor = tick(instance)
    run(instance, sft_policy, ppo_after_sft)
    tick(instance, cursor)
    assert duty.told == [f"week {WEEK}: no policy for 3 weeks in a row; sft_policy skipped: 5 answers"]


def test_without_a_webhook_nothing_is_kept_for_later(
    instance: dg.DagsterInstance, duty: Duty, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = tick(instance)
    monkeypatch.delenv("RLHF_ALERT_WEBHOOK")
    run(instance, fails)
    cursor = tick(instance, cursor)
    monkeypatch.setenv("RLHF_ALERT_WEBHOOK", duty.url)
    tick(instance, tick(instance, cursor))
    assert duty.told == []


def test_what_is_switched_off_in_the_ui_is_told_once(instance: dg.DagsterInstance, duty: Duty) -> None:
    from rlhf_assets.defs.automation.launch import LOCATION
    from rlhf_assets.defs.automation.switched_on import OURS, switched_off

    cursor = tick(instance)
    target = ModuleTarget("rlhf_assets.definitions", None, None, LOCATION)
    with WorkspaceProcessContext(instance, target) as workspace:
        (repository,) = workspace.create_request_context().get_code_location(LOCATION).get_repositories().values()
        automation = [*repository.get_schedules(), *repository.get_sensors()]
        assert {one.name for one in automation} == set(OURS)
        assert switched_off(instance) == []
        for one in repository.get_schedules():
            instance.stop_schedule(one.get_remote_origin_id(), one.selector_id, one)
        for sensor in repository.get_sensors():
            if sensor.name == "training_run_recorder":
                instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
    assert switched_off(instance) == ["weekly_rlhf_schedule", "training_run_recorder"]
    for _ in range(2):
        cursor = tick(instance, cursor)
    assert duty.told == [f"{name} was switched off; nothing replaces it" for name in switched_off(instance)]


def ticked(instance: dg.DagsterInstance, name: str, failures: int, why: str = "") -> None:
    """A sensor's newest tick, after so many failures in a row."""
    kind = InstigatorType.SENSOR
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("rlhf_assets"), "__repository__"), name
    )
    selector = origin.get_selector().get_id()
    if not instance.get_instigator_state(origin.get_id(), selector):
        instance.add_instigator_state(InstigatorState(origin, kind, InstigatorStatus.DECLARED_IN_CODE))
    instance.create_tick(
        TickData(
            origin.get_id(),
            name,
            kind,
            TickStatus.FAILURE if why else TickStatus.SKIPPED,
            timestamp=time.time(),
            error=SerializableErrorInfo(f"dagster._core.definitions.events.Failure: {why}\nmore", [], None)
            if why
            else None,
            selector_id=selector,
            consecutive_failure_count=failures,
        )
    )


def test_what_keeps_failing_is_told_once_and_again_after_it_had_been_well(
    instance: dg.DagsterInstance, duty: Duty
) -> None:
    from rlhf_assets.defs.automation.failing import IN_A_ROW, failing

    cursor, name = tick(instance), "training_run_recorder"
    ticked(instance, name, IN_A_ROW - 1, "wrong credentials")
    ticked(instance, "somebody_elses", IN_A_ROW, "no business of ours")
    assert failing(instance) == {}
    ticked(instance, name, IN_A_ROW, "wrong credentials")
    assert failing(instance) == {name: "wrong credentials"}
    for _ in range(2):
        cursor = tick(instance, cursor)
    assert duty.told == [f"{name} keeps failing: wrong credentials"]
    ticked(instance, name, 0)
    assert failing(instance) == {}
    cursor = tick(instance, cursor)
    ticked(instance, name, IN_A_ROW, "the disk is full")
    tick(instance, cursor)
    assert duty.told[1:] == [f"{name} keeps failing: the disk is full"]
