"""What the benchmark makes of files and of answers, and that it goes on fold by fold."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import reward_quality
from benchmarks.judgments import read_judgments
from benchmarks.reward_quality import answered, figures
from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.tiny_models import tiny_encoder

PAIR = {"group": "a", "query": "q", "chosen": "good", "rejected": "bad"}
RATING = {"group": 7, "query": "q", "response": "good", "score": 0.5}
STEPS = {"group": "a", "query": "q", "steps": [{"text": "one", "score": 1}, {"text": "two", "score": 0}]}


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_three_shapes_are_read_and_each_text_is_held_once(tmp_path: Path) -> None:
    pairs = read_judgments(lines(tmp_path / "pairs", PAIR, {**PAIR, "chosen": "bad", "rejected": "good", "group": "b"}))
    assert (pairs.shape, len(pairs.asked), pairs.groups.tolist()) == ("pairs", 2, ["a", "b"])
    judged = pairs.pairs(np.array([1]))
    assert judged is not None
    assert judged.to_dict("records") == [{"query": "q", "context": "[]", "chosen": "bad", "rejected": "good"}]
    assert pairs.votes(np.arange(2)).empty
    ratings = read_judgments(lines(tmp_path / "ratings", RATING, RATING))
    assert ratings.votes(np.arange(2))["score"].tolist() == [0.5, 0.5]
    assert (ratings.pairs(np.arange(2)), ratings.groups.tolist()) == (None, ["7", "7"])
    steps = read_judgments(lines(tmp_path / "steps", STEPS)).votes(np.arange(2))
    assert steps["response"].tolist() == ["one", "two"]
    assert steps["steps_before"].tolist() == ["[]", '["one"]']
    assert set(steps["kind"]) == {"step"}


def test_a_step_that_nobody_judged_is_only_read_before_the_next(tmp_path: Path) -> None:
    said = [{"text": "one", "score": 1}, {"text": "two", "score": None}, {"text": "three", "score": 0}]
    found = read_judgments(lines(tmp_path / "steps", {**STEPS, "steps": said}))
    votes = found.votes(np.arange(2))
    assert votes[["response", "score"]].to_numpy().tolist() == [["one", 1], ["three", 0]]
    assert votes["steps_before"].tolist() == ["[]", '["one", "two"]']
    assert (len(found.asked), found.left_out) == (2, 0)


def test_a_line_that_is_no_judgment_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = [{"group": "a"}, PAIR, [], *({**RATING, "score": score} for score in (None, 1.5, float("nan")))]
    file = lines(tmp_path / "file", wrong[0], RATING, *wrong[1:], {**RATING, "group": "b"})
    file.write_text(f"{file.read_text()}{{\n")
    with caplog.at_level(logging.WARNING):
        found = read_judgments(file)
    assert (found.shape, found.groups.tolist(), len(found.asked), found.left_out) == ("ratings", ["7", "b"], 1, 7)
    assert caplog.messages == [
        f"{file}: 7 lines are no ratings as benchmarks/judgments.py has them and are left out, first line 1"
    ]


def answers(shape: str, ours: np.ndarray, peer: np.ndarray, given: np.ndarray, sure: np.ndarray) -> dict:
    rows = {"group": np.arange(len(ours)) // 4, "given": given, "ours": ours, "peer": peer, "sure": sure}
    length = np.where(np.arange(len(ours)) % 3, 1, -1)
    return figures(pd.DataFrame({**rows, "length": length, "fold": np.arange(len(ours)) % 2}), shape, 0)


def test_too_few_groups_and_no_file_are_told_on_one_line(tmp_path: Path) -> None:
    file = lines(tmp_path / "ratings", RATING, RATING)
    with pytest.raises(RlhfError, match="has judgments of 1 groups, fewer than 5"):
        read_judgments(file, 5)
    with pytest.raises(RlhfError, match="0 groups"):
        read_judgments(lines(tmp_path / "none"))


def test_pairs_are_judged_by_order_against_the_peer_and_length() -> None:
    draw = np.random.default_rng(0)
    right = draw.random(400) < 0.75
    gaps = np.where(right, 1.0, -1.0)
    found = answers("pairs", gaps, -gaps, np.ones(400), np.where(right, 0.75, 0.25))
    assert found["value"] == right.mean()
    assert found["interval"][0] < right.mean() < found["interval"][1]
    assert found["difference"]["value"] == pytest.approx(2 * right.mean() - 1)
    assert found["length_only"] == pytest.approx((np.arange(400) % 3 > 0).mean())
    assert found["longer_lost"] == right[np.arange(400) % 3 == 0].mean()
    assert found["calibration_error"] == pytest.approx(abs(right.mean() - 0.75))
    assert found["signal"]
    guessed = draw.choice([-1.0, 1.0], 400)
    none = answers("pairs", guessed, gaps, np.ones(400), np.where(guessed > 0, 0.875, 0.125))
    assert (none["signal"], none["verdict"]) == (False, "no signal at this size: the interval reaches chance")
    assert none["calibration_error"] == pytest.approx(0.375, abs=0.05)


def test_ratings_of_each_fold_are_on_a_scale_of_their_own() -> None:
    draw = np.random.default_rng(0)
    given = draw.random(400)
    scale = np.where(np.arange(400) % 2, 10.0, 0.1)
    found = answers("ratings", given * scale - 3 * scale, draw.random(400), given, given)
    assert found["value"] == pytest.approx(1)
    assert abs(found["peer"]) < 0.2
    assert found["calibration_error"] == pytest.approx(0)


def test_a_stopped_run_goes_on_with_the_next_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["good", "bad", "great", "poor", "useful"]
    rows = [{**RATING, "group": i // 2, "response": f"{words[i % 5]} {i}", "score": i % 5 / 4} for i in range(60)]
    judgments = read_judgments(lines(tmp_path / "ratings", *rows))
    settings = RewardSettings(base_model=str(tiny_encoder(tmp_path / "encoder")), epochs=1)
    made, learned_from = [], reward_quality.one_fold

    def stops_at_the_third(*arguments: object) -> pd.DataFrame:
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return learned_from(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reward_quality, "one_fold", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        answered(judgments, settings, Compute("cpu", "fp32"), tmp_path / "kept")
    found = answered(judgments, settings, Compute("cpu", "fp32"), tmp_path / "kept")
    assert len(made) == 6  # two, the one that was stopped, and three
    assert sorted(found["group"]) == sorted(str(i // 2) for i in range(60))
    assert found.groupby("group")["fold"].nunique().eq(1).all()
