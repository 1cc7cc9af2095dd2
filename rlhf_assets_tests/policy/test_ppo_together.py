"""A PPO by two processes beside the same one by a single process."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.together import train_ppo_together
from rlhf_assets_tests.policy.conftest import FP32
from rlhf_assets_tests.policy.ppo_run import PROMPTS, SETTINGS
from rlhf_assets_tests.tiny_models import tiny_encoder


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A reward model and a judge as encoders with heads drawn at random."""
    folder = tmp_path_factory.mktemp("scorers")
    for seed, name in enumerate(("reward", "judge")):
        encoder = tiny_encoder(folder / f"encoder {name}", seed)
        torch.manual_seed(seed)
        AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1).save_pretrained(folder / name)
        AutoTokenizer.from_pretrained(encoder).save_pretrained(folder / name)
    return [folder / "reward", folder / "judge"]


def made(processes: int, sft: Path, scorers: list[Path], folder: Path, prompts: pd.DataFrame = PROMPTS) -> dict:
    reward, judge = scorers
    settings = SETTINGS.model_copy(update={"updates": 3, "prompts_per_update": 9})  # no even share
    return train_ppo_together(
        processes,
        sft=sft,
        reward=reward,
        prompts=prompts,
        judge=judge,
        choice=PROMPTS.head(7),
        settings=settings,
        compute=FP32,
        folder=folder,
        checkpoint=folder.parent / "kept" / "week.pt",
    )


def test_two_processes_learn_what_one_learns(sharp_llama: Path, scorers: list[Path], tmp_path: Path) -> None:
    alone = made(1, sharp_llama, scorers, tmp_path / "one")
    (tmp_path / "kept" / "week.pt").unlink()
    together = made(2, sharp_llama, scorers, tmp_path / "two")
    start, ours, theirs = (
        load_file(folder / "model.safetensors") for folder in (sharp_llama, tmp_path / "one", tmp_path / "two")
    )
    for name, weight in ours.items():
        torch.testing.assert_close(theirs[name], weight, atol=1e-4, rtol=0)
    assert max((weight - start[name]).abs().max() for name, weight in ours.items()) > 1e-3  # something was learned
    for row, other in zip(alone["history"], together["history"], strict=True):
        assert {k: v for k, v in row.items() if "second" not in k} == pytest.approx(
            {k: v for k, v in other.items() if "second" not in k}, abs=1e-3
        )
    assert together["chosen_update"] == alone["chosen_update"]
    assert [row["judge"] for row in together["judged"]] == pytest.approx([row["judge"] for row in alone["judged"]])


def test_what_fails_in_one_of_them_is_told_in_one_line(sharp_llama: Path, scorers: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RlhfError, match="PPO needs prompts") as caught:
        made(2, sharp_llama, scorers, tmp_path / "policy", PROMPTS.head(0))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_one_of_them_that_fails_alone_ends_the_others(sharp_llama: Path, scorers: list[Path], tmp_path: Path) -> None:
    """The main one keeps what both have learned; the other one would wait for it."""
    (tmp_path / "kept").touch()  # where a folder should be
    with pytest.raises(RlhfError, match="cannot keep how far the training is") as caught:
        made(2, sharp_llama, scorers, tmp_path / "policy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "policy").exists()
