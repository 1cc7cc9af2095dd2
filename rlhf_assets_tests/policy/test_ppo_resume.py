"""Line 19: a PPO that was killed goes on to the same numbers, and from nothing that is not its own."""

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rlhf_assets.compute import Compute
from rlhf_assets.policy.ppo import Judge, fingerprint
from rlhf_assets.policy.ppo_trainer import PpoTrainer
from rlhf_assets.storage.checkpoint import kept
from rlhf_assets_tests.policy.conftest import FP32, share_of
from rlhf_assets_tests.policy.ppo_run import PROMPTS, SETTINGS, lengths, train

ROOT = Path(__file__).parents[2]  # where a process that is started finds the tests


def without_times(figures: dict[str, Any]) -> dict[str, Any]:
    """All that a training tells but how long it took."""
    rows = [
        {name: value for name, value in row.items() if "second" not in name}
        for row in [*figures["history"], figures["final"]]
    ]
    return json.loads(json.dumps({**figures, "history": rows, "final": rows[-1], "seconds": 0}))


def killed_at(number: int, lora_rank: int | None, sft: Path, folder: Path, checkpoint: Path) -> None:
    """A training killed once it has written so many checkpoints."""
    command = [sys.executable, "-m", "rlhf_assets_tests.policy.ppo_run", sft, folder, checkpoint]
    seen: set[int] = set()
    with subprocess.Popen([*command, *([str(lora_rank)] if lora_rank else [])], cwd=ROOT) as training:  # noqa: S603
        while len(seen) < number and training.poll() is None:
            if checkpoint.exists():
                seen.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.002)
        training.kill()
    assert training.returncode == -signal.SIGKILL


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_line_19_killed_and_resumed_equals_uninterrupted(
    lora_rank: int | None, sharp_llama: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed = train(sharp_llama, tmp_path / "undisturbed", lora_rank=lora_rank)
    checkpoint = tmp_path / "checkpoints" / "week.pt"
    killed_at(2, lora_rank, sharp_llama, tmp_path / "killed", checkpoint)
    assert not (tmp_path / "killed").exists()
    with caplog.at_level(logging.INFO):
        again = train(sharp_llama, tmp_path / "again", checkpoint, lora_rank)
    (message,) = (message for message in caplog.messages if "goes on from its checkpoint" in message)
    assert f"of {SETTINGS.updates} updates" in message
    assert without_times(again) == without_times(undisturbed)
    files = {path.name: path.read_bytes() for path in (tmp_path / "undisturbed").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == files


def test_a_training_is_known_by_all_that_it_hangs_on(llama: Path, sharp_llama: Path) -> None:
    judge, frame = Judge(share_of("a"), PROMPTS.head(9)), PROMPTS

    def known(sft: Path = llama, frame: pd.DataFrame = frame, judge: Judge | None = judge, **other: Any) -> str:
        settings = SETTINGS.model_copy(update=other.pop("settings", {}))
        one = PpoTrainer(str(sft), PROMPTS.to_dict("records"), share_of("e"), settings, FP32, lengths)
        return fingerprint(one, frame, judge, settings, other.get("compute", FP32), other.get("made_from", "models"))

    others = [
        known(sft=sharp_llama),
        known(frame=PROMPTS.head(19)),
        known(frame=PROMPTS.assign(context='[{"role": "user", "content": "Hi"}]')),
        known(judge=None),
        known(judge=Judge(share_of("a"), PROMPTS.head(8))),
        known(settings={"seed": 1}),
        known(compute=Compute("cpu", "bf16")),
        known(made_from="models, of which the reward's is another"),
    ]
    assert len({known(), known(), *others}) == 1 + len(others)


def test_another_policy_s_checkpoint_is_not_gone_on_from(
    llama: Path, sharp_llama: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = tmp_path / "week.pt"
    train(llama, tmp_path / "one", checkpoint)
    assert kept(checkpoint, "another training") is None
    with caplog.at_level(logging.INFO):
        train(sharp_llama, tmp_path / "two", checkpoint)
    assert not [message for message in caplog.messages if "goes on" in message]
