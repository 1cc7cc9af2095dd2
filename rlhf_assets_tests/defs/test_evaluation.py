"""Evaluation and promotion on artifacts laid out by hand, where a week's order or a leak can be staged."""

import html
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.promotions import decide, in_use
from rlhf_assets_tests.defs.by_hand import WEEK, lay, lay_policy, lay_scorer, materialize, why_failed, with_frames
from rlhf_assets_tests.defs.world import freshly_loaded
from rlhf_assets_tests.policy.planted import good_figures
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

BEFORE, FIRST = earlier(WEEK, 1), earlier(WEEK, 2)
BETTER = good_figures("promoted")


def promoted(store: ArtifactStore, week: str) -> Artifact:
    """A policy of that week with the verdict that it is to be used."""
    policy = lay(store, "ppo_policy", week, "candidate")
    lay(store, "promotion", week, "promoted", parents=[policy])
    return policy


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
    used = in_use(store)
    assert used is not None
    assert used.relative_path == policy.relative_path


def test_where_a_person_is_to_approve_what_passes_waits(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rlhf.toml").write_text("[GateSettings]\napproval = true\n")
    with freshly_loaded({"RLHF_SETTINGS": str(tmp_path / "rlhf.toml")}):
        from rlhf_assets.defs.evaluation.promotion import promotion

        policy = lay(store, "ppo_policy", WEEK, "candidate")
        lay(store, "policy_evaluation", WEEK, parents=[policy], figures=good_figures())
        assert materialize(promotion, store).success
    (verdict,) = store.of_week("promotion", WEEK)
    assert (verdict.card.status, in_use(store)) == ("accepted", None)
    assert verdict.card.reasons == [f"it passes and waits for a person's `rlhf promote --week {WEEK}`"]


def test_what_a_person_took_out_of_use_is_not_promoted_again_by_a_run(store: ArtifactStore) -> None:
    from rlhf_assets.defs.evaluation.promotion import promotion

    policy = lay(store, "ppo_policy", WEEK, "candidate")
    lay(store, "policy_evaluation", WEEK, parents=[policy], figures=good_figures())
    assert materialize(promotion, store).success
    assert in_use(store) is not None
    decide(store, WEEK, "demoted", "ann", "wrong about visas")
    assert materialize(promotion, store).success
    assert in_use(store) is None
    assert store.of_week("promotion", WEEK)[-1].card.reasons == ["demoted by ann: wrong about visas"]


@pytest.mark.parametrize(
    ("name", "broken", "week"),
    [
        ("policy_evaluation", "judge_model", WEEK),
        ("promotion", "policy_evaluation", WEEK),
        ("promotion", "promotion", BEFORE),
        ("ppo_policy", "reward_model", WEEK),
    ],
)
def test_a_broken_card_fails_the_run_in_one_line(store: ArtifactStore, name: str, broken: str, week: str) -> None:
    from rlhf_assets.defs.evaluation.policy_evaluation import policy_evaluation
    from rlhf_assets.defs.evaluation.promotion import promotion
    from rlhf_assets.defs.policy.ppo_policy import ppo_policy

    policy = lay(store, "ppo_policy", WEEK, "candidate")
    lay(store, "policy_evaluation", WEEK, parents=[policy], figures=BETTER)
    card = store.root / broken / week / "broken" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{")
    asset = {"policy_evaluation": policy_evaluation, "promotion": promotion, "ppo_policy": ppo_policy}[name]
    said = why_failed(materialize(asset, store)) or "a traceback"
    assert said.startswith(f"{card} is no card: ")
    assert "\n" not in said


def test_no_answer_ends_its_own_block() -> None:
    from rlhf_assets.defs.evaluation.policy_evaluation import side_by_side

    answer = "```\ncode\n````\n![](http://elsewhere/tracker.png)"
    shown = side_by_side([("Why?", {"ppo": answer})]).value
    assert shown == f"#### Why?\n\n**ppo**\n`````text\n{answer}\n`````"


def dataset(store: ArtifactStore, week: str = WEEK, **queries: Iterable[str]) -> Artifact:
    """A reward dataset with these queries on the sides named."""
    sides = [voters + side for voters in ("", "judge_") for side in ("train", "validation", "test")]
    return with_frames(
        store,
        "reward_dataset",
        {side: pd.DataFrame({"query": queries.get(side, ()), "context": "[]"}, dtype="str") for side in sides},
        week,
    )


def comparison(store: ArtifactStore, tmp_path: Path, prompts: pd.DataFrame) -> None:
    """Everything that an evaluation needs; each model made from a dataset of its own."""
    llama, encoder = tiny_llama(tmp_path / "llama"), tiny_encoder(tmp_path / "encoder")
    asked = with_frames(store, "policy_prompts", {"prompts": prompts})
    seen_by_sft = dataset(store, train=["Seen by SFT?"])
    sft = lay_policy(store, "sft_policy", parents=[seen_by_sft], settings={"base_model": str(llama)})
    reward = lay_scorer(store, "reward_model", encoder, parents=[dataset(store, validation=["Seen by the reward?"])])
    lay_scorer(store, "judge_model", encoder, parents=[dataset(store, judge_train=["Seen by the judge?"])])
    dataset(store, test=["Where is my own heat pump?"])
    lay_policy(store, "ppo_policy", "candidate", parents=[sft, reward, asked])


def lay_policy_in_use(store: ArtifactStore) -> None:
    """A policy promoted the week before, of a dataset on whose sides a question was that is now on another."""
    known = dataset(store, BEFORE, train=["Seen by the policy in use?"])
    parents = [lay(store, asset, BEFORE, parents=[known]) for asset in ("sft_policy", "reward_model")]
    policy = lay_policy(store, "ppo_policy", "candidate", BEFORE, parents=parents)
    lay(store, "promotion", BEFORE, "promoted", parents=[policy])


def test_prompts_are_unseen_and_the_ui_shows_shipped_questions_alone(store: ArtifactStore, tmp_path: Path) -> None:
    from rlhf_assets.defs.evaluation.policy_evaluation import REPORT, SAMPLES, policy_evaluation

    shipped, second = list(dict.fromkeys(line["query"] for line in read_lines(ANSWERS)))[:2]
    seen = ["Seen by  SFT?", "seen by the reward?", "Seen by the judge?", "Seen by the policy in use?"]
    queries = [shipped, second, "Where is my own heat pump?", *seen]
    contexts = ["[]", '[{"role": "user", "content": "My name is Ada"}]', *["[]"] * 5]
    prompts = pd.DataFrame(
        {"prompt_id": list("abcdefg"), "query": queries, "context": contexts, "system_prompt": None, "side": "test"}
    )
    comparison(store, tmp_path, prompts)
    lay_policy_in_use(store)
    result = materialize(policy_evaluation, store, max_new_tokens=4, prompts=10)
    assert result.success
    (made,) = store.of_week("policy_evaluation", WEEK)
    assert (made.card.counts["prompts"], made.card.counts["prompts_seen_before"]) == (3, 4)
    assert set(made.frame(SAMPLES)["query"]) == {shipped, second, "Where is my own heat pump?"}
    (event,) = result.get_asset_materialization_events()
    answers = str(event.materialization.metadata["answers"].value)
    assert shipped.split("?")[0] in answers
    assert answers.count("#### ") == 1
    assert "heat pump" not in str(event.materialization.metadata)
    shown, figures = event.materialization.metadata, made.card.figures
    assert str(shown["win_rates"].value).startswith("![](data:image/png;base64,")
    wins = figures["win_rates"]["ppo_vs_sft"]
    assert shown["ppo_over_sft_by_judge"].value == pytest.approx(wins["judge"]["value"], rel=1e-3)
    assert shown["ppo_tokens_a_reply"].value == pytest.approx(figures["policies"]["ppo"]["length"], rel=1e-3)
    by_figure = {row.data["figure"]: row.data for row in shown["all_policies"].records}
    assert by_figure["stop rate"]["best of n"] == f"{figures['policies']['best_of_n']['stop_rate']:.2f}"
    assert by_figure["judge"]["sft"] == f"{figures['policies']['sft']['judge']['value']:.2f}"
    assert {row.data["pair"] for row in shown["all_win_rates"].records} >= {"ppo vs sft", "ppo vs promoted"}
    page = made.path(REPORT).read_text()
    assert event.materialization.metadata["report"].value == str(made.path(REPORT))
    assert shipped.split("?")[0] in html.unescape(page)
    assert "heat pump" not in page
    assert page.count('class="prose"') == 1
    policies = {"base", "sft", "promoted", "best_of_n", "ppo"}
    assert set(made.frame(SAMPLES)["policy"]) == set(made.card.figures["policies"]) == policies
    assert "reward_model" in {parent.asset for parent in made.card.parents}
