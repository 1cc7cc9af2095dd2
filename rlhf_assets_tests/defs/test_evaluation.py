"""Evaluation and promotion on artifacts laid out by hand, where a week's order or a leak can be staged."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.feedback.weeks import earlier, last_closed_week
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

WEEK = last_closed_week()
BEFORE, FIRST = earlier(WEEK, 1), earlier(WEEK, 2)
BETTER = {
    "policies": {"ppo": {"kl": 1.0}, "promoted": {}},
    "win_rates": {"ppo_vs_promoted": {"judge": {"low": 0.6}}},
}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def lay(store: ArtifactStore, asset: str, week: str, status: Any = "accepted", **card: Any) -> Artifact:
    with store.draft(asset, week, f"run of {asset}") as draft:
        return draft.commit(status, **card)


def promoted(store: ArtifactStore, week: str) -> Artifact:
    """A policy of that week with the verdict that it is to be used."""
    policy = lay(store, "ppo_policy", week, "candidate")
    lay(store, "promotion", week, "promoted", parents=[policy])
    return policy


def materialize(asset: dg.AssetsDefinition, store: ArtifactStore, **settings: Any) -> dg.ExecuteInProcessResult:
    from rlhf_assets.defs.resources import Artifacts, ComputeResource, Gold

    resources = {"artifacts": Artifacts(root=str(store.root)), "compute": ComputeResource(device="cpu"), "gold": Gold()}
    return dg.materialize(
        [asset],
        partition_key=WEEK,
        resources=resources,
        run_config={"ops": {asset.key.to_user_string(): {"config": settings}}},
        raise_on_error=False,
    )


def why_failed(result: dg.ExecuteInProcessResult) -> str | None:
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    told = failure.step_failure_data.user_failure_data
    return told.description if told else None


@pytest.mark.parametrize("compared_with", [None, FIRST])
def test_a_comparison_with_a_policy_no_longer_in_use_promotes_nothing(
    store: ArtifactStore, compared_with: str | None
) -> None:
    """As when a backfill evaluates a week before the verdict on the week before it is there."""
    from rlhf_assets.defs.evaluation.promotion import promotion

    old = [promoted(store, compared_with)] if compared_with else []
    policy = lay(store, "ppo_policy", WEEK, "candidate")
    lay(store, "policy_evaluation", WEEK, parents=[*old, policy], figures=BETTER)
    promoted(store, BEFORE)
    assert why_failed(materialize(promotion, store)) == (
        f"the comparison of week {WEEK} was made before an earlier week's promotion changed; "
        f"make policy_evaluation of {WEEK} anew"
    )
    assert store.of_week("promotion", WEEK) == []


def test_the_candidate_is_promoted_and_not_the_policy_it_was_compared_with(store: ArtifactStore) -> None:
    from rlhf_assets.defs.evaluation.promotion import promotion

    incumbent = promoted(store, BEFORE)
    policy = lay(store, "ppo_policy", WEEK, "candidate")
    lay(store, "policy_evaluation", WEEK, parents=[incumbent, policy], figures=BETTER)
    assert materialize(promotion, store).success
    in_use = store.promoted()
    assert in_use is not None
    assert in_use.relative_path == policy.relative_path


@pytest.mark.parametrize("name", ["policy_evaluation", "promotion", "ppo_policy"])
def test_a_broken_card_fails_the_run_in_one_line(store: ArtifactStore, name: str) -> None:
    from rlhf_assets.defs.evaluation.policy_evaluation import policy_evaluation
    from rlhf_assets.defs.evaluation.promotion import promotion
    from rlhf_assets.defs.policy.ppo_policy import ppo_policy

    policy = lay(store, "ppo_policy", WEEK, "candidate")
    lay(store, "policy_evaluation", WEEK, parents=[policy], figures=BETTER)
    for asset, week in (("judge_model", WEEK), ("reward_model", WEEK), ("promotion", BEFORE)):
        broken = store.root / asset / week / "broken" / "card.json"
        broken.parent.mkdir(parents=True)
        broken.write_text("{")
    asset = {"policy_evaluation": policy_evaluation, "promotion": promotion, "ppo_policy": ppo_policy}[name]
    assert "is no card" in (why_failed(materialize(asset, store)) or "a traceback")


def with_frames(store: ArtifactStore, asset: str, frames: dict[str, pd.DataFrame], **card: Any) -> Artifact:
    with store.draft(asset, WEEK, f"run of {asset}") as draft:
        for name, frame in frames.items():
            frame.to_parquet(draft.folder / f"{name}.parquet")
        return draft.commit(**card)


def dataset(store: ArtifactStore, **queries: Iterable[str]) -> Artifact:
    """A reward dataset with these queries on the sides named."""
    sides = [voters + side for voters in ("", "judge_") for side in ("train", "validation", "test")]
    return with_frames(
        store,
        "reward_dataset",
        {side: pd.DataFrame({"query": queries.get(side, ()), "context": "[]"}, dtype="str") for side in sides},
    )


def comparison(store: ArtifactStore, tmp_path: Path, prompts: pd.DataFrame) -> None:
    """Everything that an evaluation needs; each model made from a dataset of its own."""
    llama, encoder = tiny_llama(tmp_path / "llama"), tiny_encoder(tmp_path / "encoder")
    asked = with_frames(store, "policy_prompts", {"prompts": prompts})

    def model(asset: str, status: Any, parents: list[Artifact], **card: Any) -> Artifact:
        with store.draft(asset, WEEK, f"run of {asset}") as draft:
            if asset == "judge_model":
                scorer = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1)
                scorer.save_pretrained(draft.folder)
                AutoTokenizer.from_pretrained(encoder).save_pretrained(draft.folder)
            else:
                tiny_llama(draft.folder)
            return draft.commit(status, parents=parents, **card)

    sft = model("sft_policy", "accepted", [dataset(store, train=["Seen by SFT?"])], settings={"base_model": str(llama)})
    reward = model("reward_model", "accepted", [dataset(store, validation=["Seen by the reward?"])])
    model("judge_model", "accepted", [dataset(store, judge_train=["Seen by the judge?"])])
    dataset(store, test=["Where is my own heat pump?"])
    model("ppo_policy", "candidate", [sft, reward, asked])


def test_prompts_are_unseen_and_the_ui_shows_shipped_questions_alone(store: ArtifactStore, tmp_path: Path) -> None:
    from rlhf_assets.defs.evaluation.policy_evaluation import SAMPLES, policy_evaluation

    shipped, second = list(dict.fromkeys(line["query"] for line in read_lines(ANSWERS)))[:2]
    seen = ["Seen by  SFT?", "seen by the reward?", "Seen by the judge?"]
    queries = [shipped, second, "Where is my own heat pump?", *seen]
    contexts = ["[]", '[{"role": "user", "content": "My name is Ada"}]', "[]", "[]", "[]", "[]"]
    prompts = pd.DataFrame(
        {"prompt_id": list("abcdef"), "query": queries, "context": contexts, "system_prompt": None, "side": "test"}
    )
    comparison(store, tmp_path, prompts)
    result = materialize(policy_evaluation, store, max_new_tokens=4, prompts=10)
    assert result.success
    (made,) = store.of_week("policy_evaluation", WEEK)
    assert (made.card.counts["prompts"], made.card.counts["prompts_seen_before"]) == (3, 3)
    assert set(made.frame(SAMPLES)["query"]) == {shipped, second, "Where is my own heat pump?"}
    (event,) = result.get_asset_materialization_events()
    answers = str(event.materialization.metadata["answers"].value)
    assert shipped.split("?")[0] in answers
    assert answers.count("<h4>") == 1
    assert "heat pump" not in str(event.materialization.metadata)
