"""Whether the votes of a week say too little that is new for models of its own."""

from typing import TYPE_CHECKING

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.settings import SignalSettings
from rlhf_assets.policy.settings import PpoSettings, SftSettings
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.settings import Settings, project_settings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.card import IN_USE
from rlhf_assets.storage.json_safe import json_safe

if TYPE_CHECKING:
    import pandas as pd

TRAINED: dict[str, type[Settings]] = {
    "reward_model": RewardSettings,
    "judge_model": RewardSettings,
    "sft_policy": SftSettings,
    "ppo_policy": PpoSettings,
}
LEARNT = ("train.parquet", "judge_train.parquet")


def too_little_new(store: ArtifactStore, week: str, data: Artifact) -> str | None:
    """Why the week gets no models from that dataset; None where it gets some.

    Trained is where one of them was never made in an earlier week, where the settings have changed since, and in a week
    that has been begun: by hand, by a run that is tried again, or because its votes have changed. The answer is the
    same for all that a week trains, by the oldest of the last models: PPO needs the others of its own week, and if each
    waited for votes of its own they might never come together.
    """
    if any(store.newest(each, week, IN_USE) for each in TRAINED):
        return None
    last = {each: made for each in TRAINED if (made := store.newest_before(each, week, IN_USE))}
    if len(last) < len(TRAINED) or any(made.card.settings != own(each) for each, made in last.items()):
        return None
    oldest = min(last.values(), key=lambda made: made.card.week)
    try:
        before = learnt(dataset_of(store, oldest))
    except RlhfError:  # removed, so nobody knows what is new
        return None
    return why_not(before, learnt(data), oldest.card.week)


def why_not(before: "pd.DataFrame", now: "pd.DataFrame", week: str) -> str | None:
    """The reason in one sentence, where too few of the votes of `now` are new since the models of `week`."""
    from rlhf_assets.feedback.signal import signal

    said, minimum = signal(before, now), project_settings(SignalSettings).minimum_new_votes
    if said.new >= minimum:
        return None
    could = (
        f", which could show no smaller difference in mean score than {said.difference:.2f} "
        f"({4 * said.difference:.1f} points of 1 to 5)"
        if said.difference is not None
        else ""
    )
    return (
        f"{said.new} votes to train on are new since the models of week {week}{could}, fewer than minimum_new_votes "
        f"{minimum} in [SignalSettings]"
    )


def own(asset: str) -> object:
    """The project's own settings of that model, as a card has them."""
    return json_safe(project_settings(TRAINED[asset]).model_dump())


def dataset_of(store: ArtifactStore, model: Artifact) -> Artifact:
    """The reward_dataset that a model learned from, PPO by its reward model; RlhfError when it is gone."""
    parents = {parent.asset: parent.path for parent in model.card.parents}
    for asset in ("reward_dataset", "reward_model"):
        if asset in parents:
            found = store.open(parents[asset])
            return found if asset == "reward_dataset" else dataset_of(store, found)
    raise RlhfError(f"{model.folder} names no dataset")


def learnt(data: Artifact) -> "pd.DataFrame":
    """The training votes of a dataset, the judge's included: vote_id, score, cluster."""
    import pandas as pd

    return pd.concat([data.frame(name)[["vote_id", "score", "cluster"]] for name in LEARNT], ignore_index=True)
