"""PPO over SFT by the raters' true taste, on four seeds: `python -m benchmarks.ppo_seeds`, after `make demo`.

Trains PPO on the demo's SFT policy, reward model and prompts once a seed (the demo's own policy is its seed's) and lets
SFT and PPO answer the held-out prompts. Intervals are over seeds and prompts. A finished seed is kept under
`.rlhf/benchmarks` and not trained again.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.kept_cells import cell
from benchmarks.ppo_runs import scores_of, wins
from benchmarks.small_world import gold
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import choose_compute
from rlhf_assets.demo.load import demo_weeks
from rlhf_assets.policy.evaluation import evaluate_policies
from rlhf_assets.policy.settings import EvaluationSettings, PpoSettings
from rlhf_assets.policy.together import train_ppo_together
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.database import admin_url, connect
from rlhf_assets.storage.environment import load_env
from rlhf_assets.storage.home import artifact_root, home

SEEDS = (0, 1, 2, 3)
SCORERS = ("gold", "judge")


def one_seed(parents: dict[str, Artifact], policy: Artifact, settings: PpoSettings, folder: Path) -> dict[str, Any]:
    """The demo's PPO with these settings, trained in `folder` unless it is the demo's own, held against SFT."""
    compute, prompts = choose_compute(), parents["policy_prompts"].frame("prompts.parquet")
    sft, judge = parents["sft_policy"].local(), parents["judge_model"].local()
    if settings.model_dump() == policy.card.settings:
        folder = policy.local()
    else:
        folder.mkdir(parents=True, exist_ok=True)
        train_ppo_together(
            1,
            sft=sft,
            reward=parents["reward_model"].local(),
            prompts=prompts.query("side == 'train'"),
            judge=judge,
            choice=prompts.query("side == 'validation'"),
            settings=settings,
            compute=compute,
            folder=folder,
        )
    outcome = evaluate_policies(
        {"sft": sft, "ppo": folder},
        prompts.query("side == 'test'"),
        {"judge": RewardScorer(judge, compute).score, "gold": gold},
        "sft",
        EvaluationSettings(),
        compute,
    )
    return {**outcome.figures, "scores": scores_of(outcome, SCORERS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    asked = parser.parse_args()
    load_env()
    show_progress()
    with connect(admin_url()) as connection:
        weeks = demo_weeks(connection)
    store = ArtifactStore(artifact_root())
    policy = store.newest("ppo_policy", weeks[1], ("candidate", "promoted", "rejected")) if weeks else None
    if policy is None:
        raise SystemExit("there is no PPO policy of the demo here; run `make demo` first")
    parents = {parent.asset: store.open(parent.path) for parent in policy.card.parents}
    found, kept = [], home() / "benchmarks" / "ppo_seeds"
    for seed in asked.seeds:
        settings = PpoSettings(**{**policy.card.settings, "seed": seed})
        rests_on = {
            "settings": settings.model_dump(),
            "evaluation": EvaluationSettings().model_dump(),
            "artifacts": {one.card.asset: one.card.content_hash for one in (policy, *parents.values())},
        }
        run = partial(one_seed, parents, policy, settings, kept / f"policy-{seed}")
        found.append(cell(kept / f"{seed}.json", rests_on, run))
    print(json.dumps(report(list(asked.seeds), found)))  # noqa: T201


def report(seeds: list[int], found: list[dict[str, Any]]) -> dict[str, Any]:
    def scores(policy: str, scorer: str) -> list[list[float]]:
        return [one["scores"][policy][scorer] for one in found]

    won = {scorer: wins(scores("ppo", scorer), scores("sft", scorer)) for scorer in SCORERS}
    gold_wins = won["gold"]
    return {
        "name": "ppo_seeds",
        "ours": "PPO",
        "peer": "SFT",
        "ratio": gold_wins.value / (1 - gold_wins.value),
        "unit": "share of held-out prompts won by gold, over seeds; ratio is the odds",
        "value": gold_wins.value,
        "interval": [gold_wins.low, gold_wins.high],
        "seeds": seeds,
        "rows": [
            {"what": "all seeds", **{scorer: interval.as_dict() for scorer, interval in won.items()}},
            *(
                {"seed": seed, **one["win_rates"]["ppo_vs_sft"], "kl": one["policies"]["ppo"]["kl"]}
                for seed, one in zip(seeds, found, strict=True)
            ),
        ],
    }


if __name__ == "__main__":
    main()
