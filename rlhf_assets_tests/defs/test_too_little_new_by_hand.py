"""Since which models votes are new, on artifacts laid out by hand."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rlhf_assets.defs.datasets.too_little_new import TRAINED, too_little_new
from rlhf_assets.feedback.weeks import earlier, last_closed_week
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets_tests.defs.by_hand import lay, with_frames

NOW = last_closed_week()
BEFORE, LONG_BEFORE = earlier(NOW, 1), earlier(NOW, 2)
FULL = 400  # votes of each week's dataset


def lay_dataset(store: ArtifactStore, week: str, votes: int) -> Artifact:
    """So many training votes, a quarter of them the judge's; a later week's hold those of an earlier one."""
    ids = [f"vote {number}" for number in range(votes)]
    frame = pd.DataFrame({"vote_id": ids, "score": [number % 5 / 4 for number in range(votes)], "cluster": ids})
    judges = frame.index % 4 == 0
    frames = {"train": frame[~judges], "judge_train": frame[judges]}
    return with_frames(store, "reward_dataset", frames, week=week)


def lay_models(store: ArtifactStore, week: str, data: Artifact, **statuses: Any) -> None:
    """All that a week trains, from that dataset and by the project's own settings."""
    parents = [data]
    for asset, settings in TRAINED.items():
        usual = "candidate" if asset == "ppo_policy" else "accepted"
        made = lay(store, asset, week, statuses.get(asset, usual), parents=parents, settings=project_settings(settings))
        if asset == "reward_model":
            reward = made
        parents = [reward] if asset == "sft_policy" else [data]


@pytest.fixture
def trained(store: ArtifactStore) -> ArtifactStore:
    """A week long before has all models."""
    lay_models(store, LONG_BEFORE, lay_dataset(store, LONG_BEFORE, FULL))
    return store


def asked(store: ArtifactStore, new: int = 0) -> str | None:
    """What it says to so many votes more than the week before had."""
    return too_little_new(store, NOW, lay_dataset(store, NOW, FULL + 100 + new))


def test_it_says_how_many_are_new_and_what_they_could_show(trained: ArtifactStore) -> None:
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100))
    said = asked(trained, new=99)
    assert said is not None
    assert said.startswith(f"99 votes to train on are new since the models of week {BEFORE}, which could show")
    assert asked(trained, new=100) is None


@pytest.mark.parametrize("refused", TRAINED)
def test_it_counts_from_the_oldest_of_the_last_models(trained: ArtifactStore, refused: str) -> None:
    """Else those of a week with one refused model would be told apart, and PPO would never have all it needs."""
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100), **{refused: "rejected"})
    assert asked(trained, new=0) is None


def test_an_experiment_is_no_model_to_count_from(trained: ArtifactStore) -> None:
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100), **dict.fromkeys(TRAINED, "experiment"))
    assert asked(trained, new=0) is None


@pytest.mark.parametrize("never", TRAINED)
def test_where_one_of_the_models_was_never_made_a_week_trains_them_all(trained: ArtifactStore, never: str) -> None:
    """As after a first week whose PPO failed: there was never a policy, and without its reward model there is none."""
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100))
    assert asked(trained) is not None
    shutil.rmtree(Path(trained.root.path) / never)
    assert asked(trained) is None


@pytest.mark.parametrize("begun", TRAINED)
def test_a_week_that_was_begun_is_gone_on_with(trained: ArtifactStore, begun: str) -> None:
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100))
    lay(trained, begun, NOW, "experiment")
    lay(trained, begun, NOW, "rejected")
    assert asked(trained) is not None
    lay(trained, begun, NOW, "candidate" if begun == "ppo_policy" else "accepted")
    assert asked(trained) is None


@pytest.mark.parametrize(
    "changed",
    ["[RewardSettings]\nepochs = 7", "[SftSettings]\nepochs = 3.0", "[PpoSettings]\nupdates = 9"],
)
def test_other_settings_are_tried_on_the_votes_there_are(
    trained: ArtifactStore, changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100))
    assert asked(trained) is not None
    (tmp_path / "own.toml").write_text(changed)
    monkeypatch.setenv("RLHF_SETTINGS", str(tmp_path / "own.toml"))
    assert asked(trained) is None


def test_where_the_votes_of_the_last_models_are_gone_a_week_is_trained(trained: ArtifactStore) -> None:
    lay_models(trained, BEFORE, lay_dataset(trained, BEFORE, FULL + 100))
    shutil.rmtree(Path(trained.root.path) / "reward_dataset" / BEFORE)
    assert asked(trained) is None
