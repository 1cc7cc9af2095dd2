"""backfill, train and runs, on imported feedback, tiny models and Dagster's own storage in PostgreSQL."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from rlhf_assets.commands.backfill import FEEDBACK
from rlhf_assets.commands.training import REWARD, run_config
from rlhf_assets.feedback.weeks import bounds, first_week, last_closed_week, weeks_between
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.home import artifact_root
from rlhf_assets_tests.commands.runner import json_lines, rlhf
from rlhf_assets_tests.defs.world import freshly_loaded
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

WEEK = first_week()  # as-of assets look at all weeks before
WORDS = ["solar", "wind", "heat", "pump", "battery", "grant", "audit", "rebate", "offer", "job", "pay", "local"]


def ratings(people: int, each: int) -> Iterator[dict]:
    """Answers whose score says how many words they have of the good half."""
    draws = Random(0)  # noqa: S311
    start = bounds(WEEK)[0].isoformat()
    for person in range(people):
        for _ in range(each):
            good = draws.randint(0, 4)
            words = draws.choices(["good", "great", "useful", "clear"], k=good) + draws.choices(
                ["bad", "poor"], k=4 - good
            )
            yield {
                "query": " ".join(draws.sample(WORDS, 6)),
                "response": f"{' '.join(words)} answer with numbers",
                "feedback_score": good + 1,
                "user_id": f"person {person}",
                "created_at": start,
            }


@pytest.fixture
def project(settings: None, dagster_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Settings of a project of its own: feedback of one week in the database, a tiny model as the project's own."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_db)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    toml = tmp_path / "rlhf.toml"
    toml.write_text(
        f'[RewardSettings]\nbase_model = "{tiny_encoder(tmp_path / "encoder")}"\nepochs = 2\n'
        "learning_rate = 5e-4\nminimum_rows = 5\n"
    )
    with freshly_loaded({"RLHF_SETTINGS": str(toml)}):
        assert rlhf("import", "-", stdin=json_lines(*ratings(people=40, each=12))).exit_code == 0
        yield toml


@pytest.mark.usefixtures("project")
def test_from_imported_feedback_to_a_recorded_reward_model_and_an_estimate_of_ppo(tmp_path: Path) -> None:
    filled = rlhf("backfill", "--from", WEEK, "--to", WEEK, "--local", "--json")
    assert filled.exit_code == 0
    report = {"from": WEEK, "to": WEEK, "weeks": 1, "assets": FEEDBACK, "success": True, "not_made": {}}
    assert json.loads(filled.stdout) == report

    trained = rlhf("train", "reward", "--week", WEEK, "--json")
    assert trained.exit_code == 0
    report = json.loads(trained.stdout)
    assert (report["week"], report["success"]) == (WEEK, True)
    assert {row["model_type"]: row["training_status"] for row in report["runs"]} == {
        "reward": "completed",
        "judge": "completed",
    }
    store = ArtifactStore(artifact_root())
    own = store.of_week("reward_model", WEEK)[-1]
    assert (own.card.status, own.card.settings["epochs"]) == ("accepted", 2)

    assert rlhf("train", "reward", "--week", WEEK, "--epochs", 1, "--model-path", own.local()).exit_code == 0
    tried = {name: store.of_week(name, WEEK)[-1].card for name in ("reward_model", "judge_model")}
    assert {card.settings["epochs"] for card in tried.values()} == {1}
    assert tried["reward_model"].settings["model_path"] == str(own.local())
    assert tried["judge_model"].settings["model_path"] is None
    assert tried["reward_model"].status == "experiment"
    assert tried["judge_model"].status == ("rejected" if tried["judge_model"].reasons else "experiment")

    listed = json.loads(rlhf("runs", "--json").stdout)["runs"]
    assert len(listed) == 4
    assert listed[-2:] == report["runs"]
    assert rlhf("runs").stdout.count(WEEK) == 4

    estimate = ("train", "ppo", "--week", WEEK, "--estimate", "--base-model", tiny_llama(tmp_path / "llama"))
    told = json.loads(rlhf(*estimate, "--json").stdout)
    assert told["minutes"] == pytest.approx(sum(told["seconds"].values()) / 60)
    assert (told["week"], told["device_memory_gb"]) == (WEEK, None)
    assert json.loads(rlhf(*estimate, "--epochs", 20_000, "--json").stdout)["seconds"]["learning"] > (
        100 * told["seconds"]["learning"]  # 10,000 times, were the machine as fast each time
    )
    said = rlhf(*estimate).stdout
    assert said.startswith(f"PPO of week {WEEK} will take about ")
    assert [line.split(":")[0].strip() for line in said.splitlines()[1:]] == list(told["seconds"])
    assert store.of_week("policy_prompts", WEEK) == store.of_week("sft_policy", WEEK) == []
    assert len(json.loads(rlhf("runs", "--json").stdout)["runs"]) == 4


def test_a_refused_model_is_one_line_and_a_completed_row_feeds_no_policy_and_ends_no_backfill(project: Path) -> None:
    project.write_text(f"{project.read_text()}minimum_test_questions = 1000\n")
    _, second = weeks = weeks_between(WEEK, last_closed_week())[:2]
    assert rlhf("backfill", "--from", WEEK, "--to", second, "--local").exit_code == 0

    refused = rlhf("train", "reward", "--week", WEEK)
    assert refused.exit_code == 1
    told = [line for line in refused.stderr.splitlines() if "reward_model" in line and "fewer than 1000" in line]
    assert len(told) == 1
    assert "reward_model failed: rejected: its test votes are on " in told[0]
    assert "Traceback" not in refused.stderr
    rows = json.loads(rlhf("runs", "--json").stdout)["runs"]
    assert {row["model_type"]: row["training_status"] for row in rows} == {"reward": "completed", "judge": "completed"}
    assert {row["metrics"]["gate"] for row in rows} == {"rejected"}
    assert all("fewer than 1000" in row["metrics"]["reasons"][0] for row in rows)

    one = ("--from", WEEK, "--to", WEEK, "--local", "--assets")
    early = rlhf("backfill", *one, "ppo_policy")
    assert early.exit_code == 1
    assert early.stderr == (f"policy_prompts of week {WEEK} is missing; make it first, or name it in --assets too\n")
    policy = rlhf("backfill", *one, "policy_prompts,ppo_policy")
    assert policy.exit_code == 0
    assert policy.stdout.splitlines()[-1].startswith(f"ppo_policy was not made, or not to be used, for week {WEEK};")
    assert f"no reward_model of week {WEEK} is accepted; the newest one is rejected (its test votes" in policy.stderr

    early = rlhf("train", "ppo", "--week", WEEK)
    assert (early.exit_code, early.stdout) == (1, "")
    assert early.stderr.splitlines()[-1].startswith(
        f"PPO would have no reward to follow: no reward_model of week {WEEK} is accepted; the newest one is rejected"
    )
    assert ArtifactStore(artifact_root()).of_week("sft_policy", WEEK) == []

    several = ("--from", WEEK, "--to", second, "--assets", "reward_dataset,reward_model", "--local")
    assert rlhf("backfill", *several).exit_code == 1
    assert ArtifactStore(artifact_root()).weeks("reward_model") == weeks


@pytest.mark.usefixtures("project")
def test_training_without_feedback_fails_in_one_line_that_says_what_to_run() -> None:
    result = rlhf("train", "reward")
    assert result.exit_code == 1
    assert f"rlhf backfill --from {WEEK} --to {last_closed_week()}" in result.stderr
    assert f"training of week {last_closed_week()} failed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("what", ["reward", "both"])
def test_an_estimate_is_of_ppo_alone(what: str) -> None:
    refused = rlhf("train", what, "--estimate")
    assert refused.exit_code == 2
    assert "rlhf train ppo --estimate" in refused.stderr


@pytest.mark.usefixtures("project")
def test_backfill_without_a_daemon_says_so() -> None:
    result = rlhf("backfill", "--from", WEEK, "--to", WEEK)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("no Dagster daemon is running; start one with `make ui`, or run it here with --local\n")


@pytest.mark.usefixtures("project")
def test_without_weeks_a_backfill_goes_on_with_those_that_miss() -> None:
    weeks = weeks_between(WEEK, last_closed_week())
    first, again = weeks[:3], (*weeks[:1], *weeks[2:])
    one = ("--assets", "raw_message_feedback")
    unknown = rlhf("backfill", *one, "--dry-run")
    assert unknown.stdout.splitlines() == [
        "would make raw_message_feedback",
        f"weeks: {len(weeks)}, from {WEEK} to {weeks[-1]}; runs: 1; nobody knows how long",
    ]
    assert rlhf("backfill", *one, "--from", first[1], "--to", first[1], "--local").exit_code == 0
    planned = json.loads(rlhf("backfill", *one, "--dry-run", "--json").stdout)
    assert (planned["weeks"], planned["runs"], planned["dry_run"]) == (len(again), 2, True)
    assert 0 < planned["seconds"] < 60 * len(again)
    assert ArtifactStore(artifact_root()).weeks("raw_message_feedback") == [first[1]]
    assert json.loads(rlhf("backfill", *one, "--local", "--json").stdout)["success"]
    assert ArtifactStore(artifact_root()).weeks("raw_message_feedback") == weeks
    assert len(ArtifactStore(artifact_root()).of_week("raw_message_feedback", first[1])) == 1
    assert rlhf("backfill", *one, "--local").stdout == "nothing to do: every closed week has raw_message_feedback\n"
    assert rlhf("backfill", "--from", WEEK).exit_code == 2


@pytest.mark.usefixtures("project")
def test_a_plan_says_what_it_would_miss() -> None:
    first, second, third = weeks_between(WEEK, last_closed_week())[:3]
    raw = ("--assets", "raw_message_feedback,raw_step_feedback", "--from", second, "--to", second, "--local")
    assert rlhf("backfill", *raw).exit_code == 0
    later = ("--from", second, "--to", third, "--dry-run")
    looks_back = json.loads(rlhf("backfill", *later, "--assets", "clean_feedback", "--json").stdout)
    assert looks_back["missing"] == {key: [first, third] for key in ("raw_message_feedback", "raw_step_feedback")}
    assert json.loads(rlhf("backfill", *later, "--json").stdout)["missing"] == {
        "raw_message_feedback": [first],
        "raw_step_feedback": [first],
        "clean_feedback": [first],
    }
    said = rlhf("backfill", *later, "--assets", "reward_dataset").stdout.splitlines()
    assert said[-1] == (
        f"clean_feedback of 3 weeks from {first} on is missing; make it first, or name it in --assets too"
    )
    whole = rlhf(
        "backfill", "--from", first, "--to", first, "--assets", ",".join((*FEEDBACK, "promotion")), "--dry-run"
    )
    assert [line.split()[0] for line in whole.stdout.splitlines() if "is missing" in line] == ["policy_evaluation"]


@pytest.mark.usefixtures("project")
def test_only_a_backfill_under_way_is_canceled() -> None:
    none = rlhf("backfill", "--cancel", "nonsense")
    assert (none.exit_code, none.stderr) == (1, "there is no backfill nonsense in this Dagster\n")


@pytest.mark.usefixtures("project")
def test_an_asset_that_is_none_is_named() -> None:
    result = rlhf("backfill", "--from", WEEK, "--to", WEEK, "--local", "--assets", "clean_feedback,nonsense")
    assert result.exit_code == 1
    assert "there is no asset nonsense" in result.stderr


def test_only_settings_that_were_given_reach_the_assets_that_run() -> None:
    changed = {"reward_model": {"epochs": 3, "base_model": None}, "sft_policy": {"base_model": "x"}, "judge_model": {}}
    assert run_config(changed, REWARD) == {"ops": {"reward_model": {"config": {"epochs": 3}}}}
