"""A training by two processes beside the same one by a single process."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.processes import Processes
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.together import train_together
from rlhf_assets_tests.reward.train_votes import train
from rlhf_assets_tests.reward.votes import votes

FP32 = Compute("cpu", "fp32")
ROOT = Path(__file__).parents[2]  # where a process that is started finds the tests


def many_signals() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Votes of lenient and strict raters with scores, thumbs, steps and up to forty answers that compete."""
    rows = votes(150)
    much_asked = rows["query"].where(rows.index < 110, "What pays best?")
    strict = rows["user_id"].isin(["user 1", "user 2"])
    score = (rows["score"] - 0.25 * strict).clip(0, 1).where(~rows["is_thumb"], rows["score"])
    return rows.assign(query=much_asked, score=score), votes(31, seed=1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_two_processes_learn_what_one_learns(encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, validation = many_signals()
    mixed_up = train.assign(score=train["score"].sample(frac=1, random_state=0).to_numpy())  # there is much to learn
    for count in (1, 2):
        only_head = RewardSettings(base_model=str(encoder), epochs=0, pair_weight=0.1)
        train_together(count, mixed_up, validation, only_head, FP32, tmp_path / f"head {count}")
    for name, weight in weights(tmp_path / "head 1").items():
        torch.testing.assert_close(weights(tmp_path / "head 2")[name], weight, atol=1e-4, rtol=0)
    settings = RewardSettings(
        model_path=str(tmp_path / "head 1"), epochs=3, batch_size=8, learning_rate=1e-3, pair_weight=0.1
    )
    made = {}
    with caplog.at_level(logging.INFO):
        for count in (1, 2):
            made[count] = train_together(count, train, validation, settings, FP32, tmp_path / str(count))
    assert made[1].best_epoch > 1  # so that what is compared has learned for a while
    for name, weight in weights(tmp_path / "1").items():
        torch.testing.assert_close(weights(tmp_path / "2")[name], weight, atol=1e-4, rtol=0)
    assert (made[1].best_epoch, made[1].mix) == (made[2].best_epoch, made[2].mix)
    for ours, theirs in zip(made[1].history, made[2].history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    lines = [json.loads((tmp_path / str(count) / "calibration.json").read_text()) for count in (1, 2)]
    assert lines[0] == pytest.approx(lines[1], abs=1e-3)
    assert sum("training 54/54" in message for message in caplog.messages) == 2  # each said once
    assert {path.name for path in tmp_path.iterdir()} == {"head 1", "head 2", "1", "2"}


def test_each_text_is_taken_once_and_what_competes_by_one_process() -> None:
    unit = np.repeat([3, 1, 4, 0, 2], [1, 5, 1, 2, 2])
    texts = np.arange(11)[::-1].copy()
    parts = [Processes(rank, 3).part(texts, unit).tolist() for rank in range(3)]
    assert parts == [[10, 9, 8, 7], [6], [5, 4, 3, 2, 1, 0]]
    alone = [Processes(rank, 2).part(np.arange(5), np.zeros(5, int)).tolist() for rank in range(2)]
    assert sorted(alone) == [[], [0, 1, 2, 3, 4]]
    assert sum(len(Processes(rank, 3).part(np.array([7]), unit)) for rank in range(3)) == 1
    assert Processes(0, 1).part(texts, unit).tolist() == texts.tolist()


def test_what_is_wrong_is_told_on_one_line_and_nothing_is_left(encoder: Path, tmp_path: Path) -> None:
    settings = RewardSettings(base_model=str(encoder), learning_rate=1e30)
    (tmp_path / "model").mkdir()
    with pytest.raises(RlhfError, match=r"^the reward model's loss is .*; lower learning_rate [^\n]*$"):
        train_together(2, votes(64), votes(16), settings, FP32, tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model"]


def test_a_crash_is_told_and_no_process_outlives_the_caller(encoder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "week.pt"
    command = [sys.executable, "-m", "rlhf_assets_tests.reward.train_votes", "2", encoder, tmp_path, checkpoint]

    def interrupted(whom: Callable[[psutil.Process], psutil.Process]) -> tuple[list[psutil.Process], str]:
        """The processes of a training of which that one was killed after a checkpoint, and what was said."""
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as caller:  # noqa: S603
            while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
                assert caller.poll() is None
                time.sleep(0.005)
            started = psutil.Process(caller.pid).children(recursive=True)
            whom(psutil.Process(caller.pid)).kill()
            said = caller.communicate()[1]
        assert caller.returncode
        return started, said

    def a_worker(caller: psutil.Process) -> psutil.Process:
        (torchrun,) = caller.children()
        return torchrun.children()[1]

    _, said = interrupted(a_worker)
    assert said.splitlines()[-1].endswith(
        "RlhfError: one of the 2 processes that train the model crashed, the log may say why; "
        "the same run started again goes on from its last checkpoint"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["week.pt"]
    started, _ = interrupted(lambda caller: caller)
    assert len(started) == 3
    assert not psutil.wait_procs(started, timeout=30)[1]
    train(2, encoder, tmp_path / "again", checkpoint)
    train(1, encoder, tmp_path / "undisturbed", None)
    again, undisturbed = (load_file(tmp_path / name / "model.safetensors") for name in ("again", "undisturbed"))
    for name, weight in undisturbed.items():
        torch.testing.assert_close(again[name], weight, atol=1e-4, rtol=0)
