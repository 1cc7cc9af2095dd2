"""Reward models as they are materialized: their gates, their page, and the drift of the model before."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import dagster as dg
import pandas as pd
import pytest

from rlhf_assets.compute import Compute
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets_tests.defs.by_hand import (
    GOOD_FIGURES,
    HALF,
    WEEK,
    lay,
    lay_policy,
    materialize,
    why_failed,
    with_frames,
)
from rlhf_assets_tests.defs.feedback import TOPICS
from rlhf_assets_tests.defs.world import freshly_loaded
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder

BEFORE = earlier(WEEK, 1)
DRAW = Random(0)  # noqa: S311
QUERIES = [f"{' '.join(DRAW.sample(TOPICS, 7))}?" for _ in range(400)]
OWN = {"epochs": 1, "learning_rate": 5e-4}


@pytest.fixture
def trained_as_own(tmp_path: Path) -> Iterator[dict]:
    """Settings that are the project's own, so that a model is no experiment."""
    own = {**OWN, "base_model": str(tiny_encoder(tmp_path / "encoder"))}
    lines = [f"{name} = {value!r}" for name, value in own.items()]
    (tmp_path / "own.toml").write_text("\n".join(["[RewardSettings]", *lines]))
    with freshly_loaded({"RLHF_SETTINGS": str(tmp_path / "own.toml")}):
        yield own


def rows(number: int, first_query: int, seed: int) -> pd.DataFrame:
    """Votes on questions of their own, half of them of this week."""
    made = votes(number, seed)
    numbers = [first_query + i // 4 for i in range(number)]
    return made.assign(
        query=[QUERIES[n] for n in numbers],
        week=[WEEK if n % 2 else BEFORE for n in numbers],
        cluster=[f"cluster {n}" for n in numbers],
        vote_id=[f"vote {seed} {i}" for i in range(number)],
        chat_id=None,
    )


def lay_dataset(store: ArtifactStore, **changed: Callable[[pd.DataFrame], pd.DataFrame]) -> Artifact:
    """A sound dataset without votes of held-out users; `changed` votes of some of its sides."""
    sides = {"train": rows(360, 0, 0), "validation": rows(80, 100, 1), "test": rows(200, 150, 2)}
    newest = sides["train"].query("week == @WEEK")
    new = {**sides, "newest": newest}
    frames = {**new, **{f"judge_{name}": frame.head(0) for name, frame in new.items()}}
    frames = {name: changed[name](frame) if name in changed else frame for name, frame in frames.items()}
    return with_frames(
        store, "reward_dataset", {**frames, "conflicts": newest.head(0)}, counts={"superseded": 0}, figures={}
    )


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(score=frame["score"].sample(frac=1, random_state=0).to_numpy())


def for_length(frame: pd.DataFrame) -> pd.DataFrame:
    """People who like nothing but length."""
    return frame.assign(score=frame["response"].str.len().rank(pct=True))


def lenient(frame: pd.DataFrame) -> pd.DataFrame:
    """People with the taste of the others who give nobody less than a 4."""
    return frame.assign(score=0.75 + frame["score"] / 4, is_thumb=False)


def contrary(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(score=1 - frame["score"])


def contrary_students(frame: pd.DataFrame) -> pd.DataFrame:
    """One voter on each of 24 questions likes what the others do not, of which the training votes say nothing."""
    students = pd.Series([i % 4 == 0 and i < 96 for i in range(len(frame))])
    return frame.assign(
        segment=frame["segment"].where(~students, "student 2"),
        score=frame["score"].where(~students, 1 - frame["score"]),
    )


def train(store: ArtifactStore, settings: dict) -> tuple[dg.ExecuteInProcessResult, dict[str, dg.AssetCheckEvaluation]]:
    from rlhf_assets.defs.reward_model.reward_model import reward_model

    result = materialize(reward_model, store, **settings)
    return result, {check.check_name: check for check in result.get_asset_check_evaluations()}


def failed(checks: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, check in checks.items() if not check.passed}


def test_a_good_model_passes_and_leaves_its_page_and_its_worst_rows(store: ArtifactStore, trained_as_own: dict) -> None:
    from rlhf_assets.defs.reward_model.checks import DRIFT, GATES

    lay_dataset(store)
    result, checks = train(store, trained_as_own)
    assert result.success
    assert set(checks) == {*GATES, DRIFT}
    assert failed(checks) == set()
    kept = checks["better_than_length"].metadata
    what, found = "MSE to that of length alone", store.require("reward_model", WEEK).card.figures["length"]["mse_ratio"]
    assert (kept["bound"].value, kept[what].value) == ("surely below 1", pytest.approx(found["value"], rel=1e-3))
    numbers = re.findall(r"[\d.]+", str(kept["with 95 % interval"].value))
    assert list(map(float, numbers)) == [pytest.approx(found[part], abs=1e-3) for part in ("value", "low", "high")]
    assert checks[DRIFT].metadata["skipped"].value == "there is no accepted reward_model of an earlier week"
    made = store.require("reward_model", WEEK)
    worst = made.frame("worst_rows.parquet")
    assert len(worst) == 20
    assert worst["error"].is_monotonic_decreasing
    assert set(worst["vote_id"]) <= set(made.frame("test_predictions.parquet")["vote_id"])
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    pictures = [name for name, value in metadata.items() if str(value.value).startswith("![](data:image/png;base64,")]
    drawn = {"reliability", "learning_curve", "order_by_slice", "predicted_and_given", "score_and_length"}
    assert drawn <= set(pictures)
    error = made.card.figures["calibration"]["ece"]["value"]
    assert metadata["calibration_error"].value == pytest.approx(error, rel=1e-3)
    page = made.path("report.html").read_text()
    assert metadata["report"].value == str(made.path("report.html"))
    told = page + str([value for name, value in metadata.items() if name not in pictures])
    assert not [word for word in ("useless", "vague", "hydrogen", "mortgage") if word in told]


@pytest.mark.parametrize(
    ("changed", "gates", "by_chance", "said"),
    [
        (
            {"train": shuffled, "validation": shuffled},
            {"better_than_mean", "better_than_length"},
            {"no_segment_below_chance"},
            "its test MSE is not surely below that of predicting the mean",
        ),
        (
            {"train": for_length, "validation": for_length},
            {"better_than_mean", "not_for_length"},
            {"no_segment_below_chance", "calibrated"},
            "its test MSE is not surely below that of predicting the mean",
        ),
        (
            {"train": lenient, "validation": lenient},
            {"calibrated"},
            set(),
            "its calibration error on the test votes is",
        ),
        ({"test": contrary_students}, {"no_segment_below_chance"}, set(), "it orders the votes of segment student"),
    ],
    ids=["shuffled labels", "length alone", "miscalibrated", "a broken segment"],
)
def test_a_bad_model_is_refused_by_name_and_feeds_no_policy(
    store: ArtifactStore, trained_as_own: dict, changed: dict, gates: set[str], by_chance: set[str], said: str
) -> None:
    from rlhf_assets.defs.policy.ppo_policy import ppo_policy

    lay_dataset(store, **changed)
    result, checks = train(store, trained_as_own)
    assert gates <= failed(checks) <= gates | by_chance
    for name in gates:
        assert checks[name].severity == dg.AssetCheckSeverity.ERROR
        assert checks[name].blocking
        assert checks[name].metadata["reasons"].value
    reason = why_failed(result)
    assert reason is not None
    assert reason.startswith(f"rejected: {said}")
    (made,) = store.of_week("reward_model", WEEK)
    assert made.card.status == "rejected"
    assert {name for name, reasons in made.card.figures["gates"].items() if reasons} == failed(checks)
    lay_policy(store, "sft_policy")
    policy = materialize(ppo_policy, store)
    assert policy.success
    (skipped,) = policy.get_asset_observation_events()
    told = str(skipped.asset_observation_data.asset_observation.metadata["skipped"].value)
    assert made.card.reasons[0] in told
    assert store.of_week("ppo_policy", WEEK) == []


@pytest.mark.parametrize(
    ("figures", "own", "said"),
    [
        ({}, "", "its card has no figure 'mse', which a gate asks for"),
        ({**GOOD_FIGURES, "mse_ratio": {**HALF, "high": 1.0}}, "", "not surely below that of predicting the mean"),
        (GOOD_FIGURES, "minimum_test_questions = 101", "its test votes are on 100 questions, fewer than 101"),
    ],
    ids=["made before the gates", "a figure that a gate refuses", "a bound that has changed"],
)
def test_an_accepted_model_that_todays_gates_refuse_feeds_no_policy(
    store: ArtifactStore, tmp_path: Path, figures: dict, own: str, said: str
) -> None:
    (tmp_path / "own.toml").write_text(f"[RewardSettings]\n{own}")
    model = lay(store, "reward_model", WEEK, figures=figures)
    lay_policy(store, "sft_policy")
    with freshly_loaded({"RLHF_SETTINGS": str(tmp_path / "own.toml")}):
        from rlhf_assets.defs.policy.ppo_policy import ppo_policy

        result = materialize(ppo_policy, store)
    assert result.success
    (skipped,) = result.get_asset_observation_events()
    told = str(skipped.asset_observation_data.asset_observation.metadata["skipped"].value)
    assert told.startswith(f"{model.relative_path} fails today's gates: ")
    assert said in told
    assert told.endswith(f"; `rlhf train reward --week {WEEK}` trains it again")
    assert store.of_week("ppo_policy", WEEK) == []


def test_what_needs_a_refused_model_does_not_run_in_the_same_run(
    store: ArtifactStore, trained_as_own: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlhf_assets.defs.resources import Artifacts, ComputeResource
    from rlhf_assets.defs.reward_model.reward_model import reward_model

    ran = []

    @dg.asset(deps=[reward_model], partitions_def=reward_model.partitions_def)
    def after() -> None:
        ran.append(WEEK)

    lay_dataset(store, train=shuffled, validation=shuffled)
    monkeypatch.setenv("RLHF_ARTIFACTS", str(store.root))
    result = dg.materialize(
        [reward_model, after],
        partition_key=WEEK,
        resources={"artifacts": Artifacts(), "compute": ComputeResource(device="cpu")},
        run_config={"ops": {"reward_model": {"config": trained_as_own}}},
        raise_on_error=False,
    )
    assert not result.success
    assert ran == []


def test_an_experiment_that_fails_a_gate_warns_and_blocks_nothing(store: ArtifactStore, trained_as_own: dict) -> None:
    lay_dataset(store, train=shuffled, validation=shuffled)
    result, checks = train(store, {**trained_as_own, "epochs": 0})
    assert result.success
    assert "better_than_mean" in failed(checks)
    assert {check.severity for check in checks.values()} == {dg.AssetCheckSeverity.WARN}
    assert store.of_week("reward_model", WEEK)[0].card.status == "rejected"


def test_a_model_that_is_not_trained_passes_no_gate(store: ArtifactStore, trained_as_own: dict) -> None:
    from rlhf_assets.defs.reward_model.checks import DRIFT, GATES

    lay_dataset(store, train=lambda frame: frame.head(29), newest=lambda frame: frame.head(0))
    result, checks = train(store, trained_as_own)
    assert result.success
    assert failed(checks) == set(checks) - {"drift"}
    assert {check.severity for check in checks.values()} == {dg.AssetCheckSeverity.WARN}
    said = "no model was trained: 29 votes to train on, fewer than minimum_rows 30"
    assert {checks[name].metadata["reasons"].value for name in GATES} == {said}
    assert checks[DRIFT].metadata["skipped"].value == said.removeprefix("no model was trained: ")


def test_an_earlier_model_is_tried_on_this_weeks_new_questions(store: ArtifactStore, trained_as_own: dict) -> None:
    from rlhf_assets.defs.reward_model.training import drift, drift_check

    lay_dataset(store)
    train(store, trained_as_own)
    model = store.require("reward_model", WEEK)

    def lay_before(figures: dict) -> Artifact:
        with store.draft("reward_model", BEFORE, "an earlier run") as draft:
            shutil.copytree(model.local(), draft.folder, dirs_exist_ok=True)
            (draft.folder / "card.json").unlink()
            return draft.commit("accepted", figures=figures)

    newest = rows(180, 0, 0)

    def tried(newest: pd.DataFrame = newest) -> dict:
        return drift(store, "reward_model", WEEK, newest, RewardSettings(), Compute("cpu", "fp32"))

    before = lay_before(model.card.figures)
    check = drift_check("reward_model", tried())
    assert check.passed
    assert check.metadata["questions"].value == 45
    assert check.metadata["spearman_now"].value > 0.5
    assert tried(newest.head(40)) == {"skipped": "10 new questions this week, fewer than 20"}
    (before.local() / "model.safetensors").unlink()
    assert "cannot load the model" in tried()["skipped"], "its loss is no reason to have no model this week"
    old = lay_before({"mse": model.card.figures["mse"]})
    assert tried() == {"skipped": f"{old.relative_path} was made by an earlier version of this project"}
    assert drift_check("reward_model", tried()).passed
    lay_before(model.card.figures)

    lay_dataset(store, newest=contrary)
    result, checks = train(store, trained_as_own)
    assert result.success, "drift warns"
    assert failed(checks) == {"drift"}
    assert checks["drift"].severity == dg.AssetCheckSeverity.WARN
    assert "Spearman correlation fell from" in str(checks["drift"].metadata["reasons"].value)
    made = store.require("reward_model", WEEK)
    assert made.card.figures["drift"]["model"].startswith(f"reward_model/{BEFORE}/")
    assert "has aged" in made.path("report.html").read_text()
