"""Model assets on artifacts laid out by hand: what they warn of, and what a failure says and leaves."""

import logging
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg
import pytest

from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.home import checkpoint_file
from rlhf_assets_tests.defs.by_hand import (
    GOOD_FIGURES,
    WEEK,
    lay_policy,
    lay_scorer,
    materialize,
    why_failed,
    with_frames,
)
from rlhf_assets_tests.policy.conftest import constant
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_gpt2

QUICK = {"updates": 1, "prompts_per_update": 8, "micro_batch_size": 8, "calibration_prompts": 8, "max_new_tokens": 8}


@pytest.mark.parametrize(
    ("rows", "warning"), [(99, "trained on 99 rows only; do not trust it far"), (100, None)], ids=["few", "enough"]
)
def test_a_model_of_few_votes_is_trained_and_says_so(
    store: ArtifactStore, tmp_path: Path, rows: int, warning: str | None
) -> None:
    from rlhf_assets.defs.reward_model.reward_model import reward_model

    lay_dataset(store, rows)
    result = materialize(reward_model, store, base_model=str(tiny_encoder(tmp_path / "encoder")), epochs=1)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["train"].value == rows
    assert metadata.get("warning") == (warning and dg.MetadataValue.text(warning))


def lay_dataset(store: ArtifactStore, rows: int) -> None:
    """So many votes to train on and none to test on."""
    train = votes(rows).assign(cluster="jobs", chat_id=None, vote_id=None, week=WEEK)
    frames = {f"{voters}{side}": train.head(0) for voters in ("", "judge_") for side in ("train", "validation", "test")}
    others = {"newest": train.head(0), "judge_newest": train.head(0), "conflicts": train}
    with_frames(store, "reward_dataset", {**frames, **others, "train": train}, counts={"superseded": 0})


def test_several_processes_train_where_compute_says_so_and_no_checkpoint_stays(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from rlhf_assets.defs.reward_model.reward_model import reward_model

    monkeypatch.setenv("RLHF_HOME", str(tmp_path / "home"))
    encoder = str(tiny_encoder(tmp_path / "encoder"))
    asked = project_settings(RewardSettings).model_copy(update={"base_model": encoder, "epochs": 1})
    checkpoint = checkpoint_file("reward_model", WEEK, asked.model_dump_json())
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a file")
    checkpoint.with_name(f"{checkpoint.name}.123").write_bytes(b"of a run that was killed as it wrote")
    lay_dataset(store, 40)
    with caplog.at_level(logging.INFO):
        assert materialize(reward_model, store, processes=2, base_model=encoder, epochs=1).success
    assert ("rlhf_assets.reward.torchrun", "training 3/3") in {
        (record.name, record.getMessage()[:12]) for record in caplog.records
    }
    assert not list(checkpoint.parent.iterdir())
    assert not list((Path(store.root) / ".drafts").iterdir())


def cut_reward(store: ArtifactStore, tmp_path: Path) -> None:
    cut(store.require("reward_model", WEEK))


def cut_policy(store: ArtifactStore, tmp_path: Path) -> None:
    cut(store.require("sft_policy", WEEK))


def cut(model: Artifact) -> None:
    weights = model.local() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def silence_policy(store: ArtifactStore, tmp_path: Path) -> None:
    """A policy that says the end of text at once."""
    constant(tiny_gpt2(tmp_path / "gpt2"), store.require("sft_policy", WEEK).local(), {0: 50.0})


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (cut_reward, "cannot load the model"),
        (cut_policy, "cannot load the policy"),
        (silence_policy, "all 8 replies are empty; train SFT on longer answers or lower learning_rate"),
    ],
)
def test_a_model_that_cannot_serve_fails_ppo_in_one_line_and_touches_nothing(
    settings: None,
    store: ArtifactStore,
    tmp_path: Path,
    app_url: str,
    fault: Callable[[ArtifactStore, Path], None],
    said: str,
) -> None:
    from rlhf_assets.defs.policy.ppo_policy import ppo_policy
    from rlhf_assets.defs.resources import Database
    from rlhf_assets.defs.training_runs.recorder import record_since

    queries = [f"Where is heat pump {number}?" for number in range(8)]
    prompts = {"prompt_id": queries, "query": queries, "context": "[]", "system_prompt": None, "side": "train"}
    with_frames(store, "policy_prompts", {"prompts": pd.DataFrame(prompts)})
    lay_policy(store, "sft_policy")
    lay_scorer(store, "reward_model", tiny_encoder(tmp_path / "encoder"), figures=GOOD_FIGURES)
    fault(store, tmp_path)
    before = contents(store)
    with dg.DagsterInstance.ephemeral() as instance:
        failed = materialize(ppo_policy, store, instance, **QUICK)
        record_since(instance, Database(), store, 0)
    reason = why_failed(failed)
    assert reason
    assert said in reason
    assert "\n" not in reason
    with psycopg.connect(app_url) as connection:
        rows = connection.execute("select model_type, training_status, model_path, metrics from rlhf_training_runs")
        ((*row, metrics),) = rows.fetchall()
    assert (row, metrics["error"]) == (["policy", "failed", None], reason)
    assert contents(store) == before


def contents(store: ArtifactStore) -> dict[str, bytes]:
    """Every file of the store with its bytes."""
    files = [path for path in Path(store.root).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}
