"""A real, tiny model tested: its figures, its page, its worst rows, and how an earlier one does on new votes."""

import json
from pathlib import Path

import numpy as np
import pytest

from rlhf_assets.compute import Compute
from rlhf_assets.reward.assessment import WORST, Assessment, assess_reward, predictions
from rlhf_assets.reward.drift import drift_figures, drift_warnings
from rlhf_assets.reward.model_report import report_html
from rlhf_assets.reward.plots import pictures
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.feedback.test_audit_report import EVIL, Page
from rlhf_assets_tests.reward.votes import votes

FP32 = Compute("cpu", "fp32")
HISTORY: list[dict[str, float | None]] = [{"epoch": 1, "train_loss": 0.2, "validation_loss": None}]
NO_DRIFT = {"skipped": "there is no earlier model"}
TEST = votes(160, seed=2)


@pytest.fixture(scope="module")
def found(reward_model: Path, encoder: Path) -> Assessment:
    settings = RewardSettings(base_model=str(encoder))
    return assess_reward(reward_model, votes(300), votes(60, seed=1), TEST, settings, FP32)


def test_each_vote_has_the_prediction_of_its_text(reward_model: Path) -> None:
    scorer = RewardScorer(reward_model, FP32)
    columns = (TEST[name].tolist() for name in ("query", "response", "context", "steps_before"))
    one_by_one = scorer.calibrated(scorer.score(*columns))
    twice = TEST.iloc[[*range(len(TEST)), 5, 3]]
    assert predictions(scorer, twice) == pytest.approx([*one_by_one, one_by_one[5], one_by_one[3]], abs=1e-5)
    assert predictions(scorer, TEST.iloc[:0]).shape == (0,)


def test_a_model_that_learned_passes_with_figures_in_plain_json(found: Assessment) -> None:
    assert not any(found.gates.values())
    assert found.figures["gates"] == found.gates
    json.dumps(found.figures, allow_nan=False)
    assert found.figures["spearman"]["value"] > 0.8
    assert found.figures["thumbs"]["ece_after"]["n"] == int(TEST["is_thumb"].sum())
    assert found.test["score"].tolist() == TEST["score"].tolist()


def test_the_worst_rows_are_those_with_the_largest_error(found: Assessment) -> None:
    worst = found.worst()
    error = np.abs(found.test["predicted"] - TEST["score"])
    assert worst["error"].tolist() == pytest.approx(sorted(error, reverse=True)[:WORST])
    assert {"query", "response", "user_id", "predicted"} <= set(worst)


def test_the_page_holds_figures_and_pictures_and_nothing_that_anybody_wrote(found: Assessment) -> None:
    shown = pictures(found.figures, found.test, HISTORY, 1)
    assert len(shown) == 7
    assert len(set(shown.values())) == 7
    broken = found.figures | {"by_segment": {EVIL: found.figures["by_segment"]["worker"]}}
    broken["noise_ceiling"] = {**found.figures["noise_ceiling"], "spearman": {"value": 1.0, "low": 0.9, "high": 1.0}}
    broken["gates"] = {**found.gates, "calibrated": [f"it is off for {EVIL}"]}
    made = report_html("reward_model", "2026-11-15", broken, RewardSettings(), NO_DRIFT, shown)
    read = Page(made)
    assert not {"script", "link", "iframe", "object", "form", "a"} & set(read.tags)
    assert read.tags.count("img") == 7
    assert f"It is off for {EVIL}." in read.text
    assert f"1.00 (0.90 to 1.00){found.figures['spearman']['value']:.0%}" in read.text.replace("\n", "")
    assert "there is no earlier model" in read.text
    assert "How do I find a job" not in made


def test_the_page_names_where_the_model_is_not_to_be_relied_on(found: Assessment) -> None:
    worker = found.figures["by_segment"]["worker"]
    good = {**worker, "mse_ratio": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 99}}
    bad = {**worker, "mse_ratio": {"value": 0.91, "low": 0.75, "high": 1.06, "n": 99}}
    given = {"value": 0.64, "low": 0.57, "high": 0.71, "n": 99}

    def read(by_segment: dict, predicted: float) -> str:
        calibration = {**found.figures["calibration"], "bins": [{"predicted": predicted, "given": given}]}
        figures = found.figures | {"by_kind": {}, "by_segment": by_segment, "calibration": calibration}
        return Page(report_html("judge_model", "2026-11-15", figures, RewardSettings(), NO_DRIFT, {})).text

    well = read({"worker": good}, 0.7)
    assert "Every gate is open" in well
    assert "Judge model" in well
    assert "calibration error" in well
    assert "not surely above 0.1" in well
    unsure = read({"worker": good, "student": bad}, 0.72)
    assert "On votes of segment student it is not surely better than saying the mean: 0.91 (0.75 to 1.06)" in unsure
    assert "segment worker it is not" not in unsure
    assert "Where it says 0.72, people give 0.64 (0.57 to 0.71)." in unsure


def test_a_model_without_any_test_votes_is_refused_and_has_its_page(reward_model: Path, encoder: Path) -> None:
    settings, none = RewardSettings(base_model=str(encoder)), TEST.iloc[:0]
    empty = assess_reward(reward_model, votes(100), none, none, settings, FP32)
    assert [name for name, reasons in empty.gates.items() if reasons] == ["tested"]
    json.dumps(empty.figures, allow_nan=False)
    shown = pictures(empty.figures, empty.test, HISTORY, 1)
    assert list(shown) == ["Training"], "there is nothing to draw of no votes"
    read = Page(report_html("reward_model", "2026-11-15", empty.figures, RewardSettings(), NO_DRIFT, shown))
    assert "nan" not in read.text.lower().replace("finance", "")
    assert "None" not in read.text
    assert empty.worst().empty


def test_an_earlier_model_is_warned_of_where_people_have_changed_their_mind(
    reward_model: Path, found: Assessment
) -> None:
    same, other = votes(160, seed=7), votes(160, seed=7).assign(score=lambda frame: 1 - frame["score"])
    steady, aged = (drift_figures(reward_model, found.figures, newest, 0, FP32) for newest in (same, other))
    assert drift_warnings(steady) == []
    error, order = drift_warnings(aged)
    assert error.startswith("its MSE rose from 0.")
    assert "Spearman correlation fell from 0." in order
    assert aged["spearman"]["then"] == found.figures["spearman"]
    assert aged["questions"] == 40
    told = aged | {"model": "reward_model/2026-11-08/a-run", "warnings": [error]}
    page = Page(report_html("reward_model", "2026-11-15", found.figures, RewardSettings(), told, {}))
    assert "reward_model/2026-11-08/a-run has aged: its MSE rose" in page.text


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (0.001, "Yes, surely: the last doubling of its questions raised Spearman by +0.010 (+0.001 to +0.020)."),
        (-0.02, "That is not shown: the last doubling of its questions raised Spearman by +0.010 (-0.020 to +0.020)."),
    ],
)
def test_the_page_says_whether_more_feedback_would_help(found: Assessment, low: float, said: str) -> None:
    curve = found.figures["learning_curve"] | {"gain": {"value": 0.01, "low": low, "high": 0.02}}
    made = report_html(
        "reward_model", "2026-11-15", found.figures | {"learning_curve": curve}, RewardSettings(), NO_DRIFT, {}
    )
    assert said in Page(made).text
