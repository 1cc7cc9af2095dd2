"""What the UI links a model to: cards laid out by hand, as weeks leave them."""

import pytest

from rlhf_assets.defs.lineage import made_from
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets_tests.defs.by_hand import WEEK, lay

BEFORE = earlier(WEEK, 1)
RUN = "0f8fad5b-d9cb-469f-a165-70867728950e"


def lay_run(store: ArtifactStore, asset: str, week: str, *parents: Artifact) -> Artifact:
    with store.draft(asset, week, RUN) as draft:
        return draft.commit(parents=parents)


def lay_week(store: ArtifactStore, week: str, *clean: Artifact) -> tuple[Artifact, Artifact]:
    """The week's reward model and policy, from clean feedback of these weeks."""
    dataset = lay_run(store, "reward_dataset", week, *clean)
    reward, sft = (lay_run(store, asset, week, dataset) for asset in ("reward_model", "sft_policy"))
    return reward, lay_run(store, "ppo_policy", week, sft, reward)


@pytest.fixture
def weeks(store: ArtifactStore) -> list[Artifact]:
    return [lay_run(store, "clean_feedback", week, lay(store, "raw", week)) for week in (BEFORE, WEEK)]


def week_link(asset: str, week: str = WEEK) -> str:
    return f"[{week}](/assets/{asset}?view=partitions&partition={week})"


def test_a_policy_is_linked_to_its_reward_model_dataset_and_weeks(store: ArtifactStore, weeks: list[Artifact]) -> None:
    _, policy = lay_week(store, WEEK, *weeks)
    by_run = f"by run [{RUN[:8]}](/runs/{RUN})"
    assert {name: link.value for name, link in made_from(policy).items()} == {
        **{
            f"from_{asset}": f"{week_link(asset)} {by_run}"
            for asset in ("sft_policy", "reward_model", "reward_dataset")
        },
        "from_clean_feedback": f"{week_link('clean_feedback', BEFORE)} to {week_link('clean_feedback')}, 2 weeks",
    }


def test_a_second_attempt_is_linked_to_its_run(store: ArtifactStore, weeks: list[Artifact]) -> None:
    _, again = (lay_run(store, "reward_model", WEEK) for _ in range(2))
    assert again.relative_path.endswith(f"{RUN}-2")
    assert made_from(lay_run(store, "ppo_policy", WEEK, again))["from_reward_model"].value.endswith(f"(/runs/{RUN})")


def test_what_lies_behind_the_policy_in_use_is_not_taken_for_this_weeks(
    store: ArtifactStore, weeks: list[Artifact]
) -> None:
    _, in_use = lay_week(store, BEFORE, weeks[0])
    _, policy = lay_week(store, WEEK, *weeks)
    links = made_from(lay_run(store, "policy_evaluation", WEEK, policy, in_use))
    assert BEFORE in links["from_ppo_policy"].value
    assert WEEK in links["from_ppo_policy"].value
    assert BEFORE not in links["from_reward_model"].value


def test_a_parent_that_was_removed_is_linked_all_the_same(store: ArtifactStore, weeks: list[Artifact]) -> None:
    reward, policy = lay_week(store, WEEK, *weeks)
    (reward.folder / "card.json").unlink()
    assert WEEK in made_from(policy)["from_reward_model"].value
    assert "from_reward_dataset" in made_from(policy)  # SFT knows it
