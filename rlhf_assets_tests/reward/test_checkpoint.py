"""A training that was killed goes on to the same numbers, and from nothing that is not its own."""

import logging
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from rlhf_assets.reward.checkpoint import fingerprint
from rlhf_assets.reward.lessons import lessons
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import TrainingOutcome
from rlhf_assets.storage.checkpoint import drop
from rlhf_assets_tests.reward.train_votes import train
from rlhf_assets_tests.reward.votes import votes

ROOT = Path(__file__).parents[2]  # where a process that is started finds the tests
Made = tuple[TrainingOutcome, dict[str, bytes]]


def made(encoder: Path, folder: Path, checkpoint: Path | None = None) -> Made:
    outcome = train(1, encoder, folder, checkpoint)
    return replace(outcome, seconds=0.0), {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(encoder, tmp_path_factory.mktemp("undisturbed"))


def killed_at(number: int, encoder: Path, folder: Path, checkpoint: Path) -> None:
    """A training killed once it has written so many checkpoints."""
    command = [sys.executable, "-m", "rlhf_assets_tests.reward.train_votes", "1", encoder, folder, checkpoint]
    folder.mkdir()
    seen: set[int] = set()
    with subprocess.Popen(command, cwd=ROOT) as training:  # noqa: S603
        while len(seen) < number and training.poll() is None:
            if checkpoint.exists():
                seen.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.005)
        training.kill()
    assert training.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [1, 5], ids=["in the first epoch", "in a later one"])
def test_a_killed_training_goes_on_to_the_same_numbers(
    number: int, encoder: Path, undisturbed: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = tmp_path / "checkpoints" / "week.pt"
    killed_at(number, encoder, tmp_path / "killed", checkpoint)
    assert list((tmp_path / "killed").iterdir()) == []
    with caplog.at_level(logging.INFO):
        assert made(encoder, tmp_path / "again", checkpoint) == undisturbed
        assert made(encoder, tmp_path / "lost after training", checkpoint) == undisturbed
    first, second = (message for message in caplog.messages if "goes on from its checkpoint" in message)
    assert "after 44 of 44" in second != first
    drop(checkpoint)
    assert not checkpoint.exists()


def test_what_is_no_checkpoint_is_trained_over(encoder: Path, undisturbed: Made, tmp_path: Path) -> None:
    checkpoint = tmp_path / "week.pt"
    checkpoint.write_bytes(b"half a file")
    assert made(encoder, tmp_path / "made", checkpoint) == undisturbed


def test_a_training_is_known_by_its_votes_settings_and_first_weights(encoder: Path) -> None:
    settings, rows = RewardSettings(), votes(20)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1)
    known = lessons(rows, settings)
    found = fingerprint(model, known, "settings")
    assert found == fingerprint(model, lessons(votes(20), settings), "settings")
    without = rows[rows["user_id"] != "user 3"]  # who asked to be forgotten
    others = [
        fingerprint(model, lessons(without, settings), "settings"),
        fingerprint(model, lessons(rows.assign(user_id=None), settings), "settings"),
        fingerprint(model, lessons(rows.assign(response=rows["response"] + "!"), settings), "settings"),
        fingerprint(model, known, "other settings"),
        fingerprint(model, lessons(rows.iloc[::-1], settings), "settings"),
    ]
    with torch.no_grad():
        model.get_input_embeddings().weight[0, 0] += 1
    assert len({found, *others, fingerprint(model, known, "settings")}) == 7
