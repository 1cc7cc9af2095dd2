"""Four weeks of which two say too little that is new, one after another as a schedule runs them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from rlhf_assets.commands.backfill import FEEDBACK
from rlhf_assets.storage.promotions import decide, in_use
from rlhf_assets_tests.defs.world import LAST, WEEKS, World

FIRST, SECOND, THIRD, _ = WEEKS
MODELS = ("reward_model", "judge_model", "sft_policy", "ppo_policy")
TRAINED_ALONE = ("reward_model", "judge_model", "sft_policy")
WEEKLY = ("reward_dataset", "policy_prompts", *MODELS, "policy_evaluation", "promotion")


@pytest.fixture(scope="module")
def votes_a_week() -> Sequence[int]:
    """About a third goes to tests; the last three weeks have a hundred to train on together, not the last alone."""
    return [250, 40, 40, 120]


@pytest.fixture
def minimum(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], None]:
    """Has the project ask for that many new votes from now on."""

    def ask(votes: int) -> None:
        own = (world.store.root.parent / "settings.toml").read_text()
        (tmp_path / "own.toml").write_text(f"{own}\n[SignalSettings]\nminimum_new_votes = {votes}\n")
        monkeypatch.setenv("RLHF_SETTINGS", str(tmp_path / "own.toml"))

    return ask


def rows_of_last_run(world: World) -> dict[str, dict]:
    world.record()
    return {row["model_type"]: row for row in world.rows(world.last_run().run_id)}


def trained(world: World, week: str) -> set[str]:
    return {asset for asset in MODELS if world.store.of_week(asset, week)}


def observed(world: World) -> dict[str, str]:
    """What each asset of the last run said when it skipped."""
    kinds = {dg.DagsterEventType.ASSET_OBSERVATION}
    events = [entry.get_dagster_event() for entry in world.instance.all_logs(world.last_run().run_id, of_type=kinds)]
    told = {event.step_key: event.asset_observation_data.asset_observation.metadata for event in events}
    return {step: str(metadata["skipped"].value) for step, metadata in told.items()}


def test_a_week_that_says_enough_is_trained(world: World) -> None:
    launch = world.module("automation.launch")
    assert launch.materialize_weeks(world.instance, FEEDBACK, WEEKS)
    assert world.materialize(*WEEKLY, week=FIRST)
    assert trained(world, FIRST) == set(MODELS)
    (verdict,) = world.store.of_week("promotion", FIRST)
    if verdict.card.status == "rejected":  # tiny models seldom pass
        decide(world.store, FIRST, "promoted", "a person", "for the test", over_gate=True)


def test_one_that_does_not_trains_nothing_and_says_why(world: World) -> None:
    before = in_use(world.store)
    assert before is not None
    assert world.materialize(*WEEKLY, week=SECOND)
    assert trained(world, SECOND) == set()
    told = observed(world)
    assert set(told) == {"reward_model", "judge_model", "sft_policy"}
    (reason,) = set(told.values())
    dataset = world.store.require("reward_dataset", SECOND)
    known = {*votes_of(world, FIRST)}
    new = [vote for vote in votes_of(world, SECOND) if vote not in known]
    assert reason.startswith(
        f"{len(new)} votes to train on are new since the models of week {FIRST}, which could show no smaller difference"
    )
    assert reason.endswith("fewer than minimum_new_votes 100 in [SignalSettings]")
    assert dataset.card.counts["train"] + dataset.card.counts["judge_train"] > 100, "there are enough in all"
    rows = rows_of_last_run(world)
    assert {row["training_status"] for row in rows.values()} == {"completed"}
    assert {row["model_path"] for row in rows.values()} == {None}
    assert {kind: row["metrics"]["skipped"] for kind, row in rows.items()} == {
        "reward": reason,
        "judge": reason,
        "sft": reason,
        "policy": f"judge_model, reward_model, sft_policy were skipped: {reason}",
    }
    in_use_now = in_use(world.store)
    assert in_use_now is not None
    assert in_use_now.relative_path == before.relative_path


def votes_of(world: World, week: str) -> list[str]:
    data = world.store.require("reward_dataset", week)
    return [vote for name in ("train", "judge_train") for vote in data.frame(f"{name}.parquet")["vote_id"]]


@pytest.mark.parametrize("asset", ["ppo_policy", "policy_evaluation", "promotion"])
def test_what_needs_the_models_and_is_launched_alone_says_the_same(world: World, asset: str) -> None:
    assert world.materialize(asset, week=SECOND)
    (reason,) = observed(world).values()
    needed = "reward_model" if asset == "ppo_policy" else "ppo_policy"
    assert reason.startswith(f"{needed} of week {SECOND} was skipped: ")
    assert "minimum_new_votes 100 in [SignalSettings]" in reason


def test_an_experiment_is_never_skipped(world: World) -> None:
    assert world.materialize("reward_model", week=SECOND, config={"reward_model": {"epochs": 1}})
    assert world.store.of_week("reward_model", SECOND)[-1].card.status == "experiment"
    assert world.materialize("sft_policy", week=SECOND)
    assert "votes to train on are new" in observed(world)["sft_policy"], "an experiment begins no week"


def test_new_votes_add_up_until_they_say_enough(world: World) -> None:
    assert world.materialize(*WEEKLY, week=THIRD)
    assert trained(world, THIRD) == set()
    assert world.materialize(*WEEKLY, week=LAST)
    assert trained(world, LAST) == set(MODELS)
    assert len({*votes_of(world, LAST)} - {*votes_of(world, THIRD)}) < 100, "the last week alone has too few"


def test_a_week_that_has_models_is_trained_again_whatever_is_new(world: World, minimum: Callable[[int], None]) -> None:
    minimum(10**6)
    made = len(world.store.of_week("judge_model", LAST))
    assert world.materialize("judge_model", week=LAST)
    assert len(world.store.of_week("judge_model", LAST)) == made + 1


def test_a_run_that_waited_for_another_one_of_its_week_trains_it_no_second_time(world: World) -> None:
    made = {asset: len(world.store.of_week(asset, LAST)) for asset in TRAINED_ALONE}
    with world.store.draft("policy_evaluation", LAST, "the-other") as draft:
        compared = draft.commit()
    ended = compared.card.model_copy(update={"created_at": datetime.now(UTC) + timedelta(hours=1)})
    (compared.folder / "card.json").write_text(ended.model_dump_json())  # while the next run waits
    assert world.materialize(*TRAINED_ALONE, week=LAST)
    (reason,) = set(observed(world).values())
    assert reason == f"run the-other has trained week {LAST} while this one waited; launch it again for another try"
    assert set(observed(world)) == set(TRAINED_ALONE)
    assert {asset: len(world.store.of_week(asset, LAST)) for asset in TRAINED_ALONE} == made
    (compared.folder / "card.json").write_text(compared.card.model_dump_json())  # before the next run was launched
    assert world.materialize("sft_policy", week=LAST)
    assert len(world.store.of_week("sft_policy", LAST)) == made["sft_policy"] + 1


def test_no_new_votes_are_asked_for_where_the_setting_is_nought(world: World, minimum: Callable[[int], None]) -> None:
    minimum(0)
    assert world.materialize("sft_policy", week=SECOND)
    assert [made.card.status for made in world.store.of_week("sft_policy", SECOND)] == ["accepted"]
