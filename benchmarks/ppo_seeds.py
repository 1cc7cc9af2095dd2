"""PPO over SFT by the raters' true taste, on three seeds: `python -m benchmarks.ppo_seeds`, after `make demo`.

Trains PPO on the demo's SFT policy, reward model and prompts once a seed (the demo's own policy is its seed's) and lets
base, SFT and PPO answer the held-out prompts. A finished seed is kept under `.rlhf/benchmarks` and not trained again.
"""

import json
import logging
from pathlib import Path
from typing import Any

from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import choose_compute
from rlhf_assets.demo.load import demo_weeks
from rlhf_assets.demo.taste import taste
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.evaluation import evaluate_policies
from rlhf_assets.policy.settings import EvaluationSettings, PpoSettings
from rlhf_assets.policy.together import train_ppo_together
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.database import admin_url, connect
from rlhf_assets.storage.environment import load_env
from rlhf_assets.storage.home import artifact_root, home

log = logging.getLogger(__name__)

SEEDS = (0, 1, 2)


def gold(queries: list[str], responses: list[str], contexts: list[str]) -> Any:
    import numpy as np

    return np.array([taste(query, response) for query, response in zip(queries, responses, strict=True)])


def one_seed(store: ArtifactStore, week: str, seed: int, kept: Path) -> dict[str, Any]:
    """Train and compare one seed, or read what an earlier run of this found."""
    cell = kept / f"seed-{seed}.json"
    policy = store.newest("ppo_policy", week, ("candidate",))
    if policy is None:
        raise RlhfError("there is no PPO policy to start from; run `make demo` first")
    settings, compared = PpoSettings(**policy.card.settings), EvaluationSettings()
    starts = {parent.asset: store.open(parent.path) for parent in policy.card.parents}
    judge = store.require("judge_model", week)
    made_of = {  # the demo's policy stands for the code that made it
        "settings": settings.model_dump(),
        "evaluation": compared.model_dump(),
        "artifacts": {a.card.asset: a.card.content_hash for a in (policy, judge, *starts.values())},
    }
    if cell.exists() and (found := json.loads(cell.read_text()))["made_of"] == made_of:
        return found
    compute, prompts = choose_compute(), starts["policy_prompts"].frame("prompts.parquet")
    folder, sft = policy.local(), starts["sft_policy"]
    if seed != settings.seed:
        log.info("seed %d of %s", seed, SEEDS)
        folder = kept / f"policy-{seed}"
        train_ppo_together(
            1,
            sft=sft.local(),
            reward=starts["reward_model"].local(),
            prompts=prompts.query("side == 'train'"),
            judge=judge.local(),
            choice=prompts.query("side == 'validation'"),
            settings=settings.model_copy(update={"seed": seed}),
            compute=compute,
            folder=folder,
        )
    outcome = evaluate_policies(
        {"sft": sft.local(), "ppo": folder},
        prompts.query("side == 'test'"),
        {"judge": RewardScorer(judge.local(), compute).score, "gold": gold},
        "sft",
        compared,
        compute,
    )
    found = {
        "made_of": made_of,
        "seed": seed,
        "gold": outcome.figures["win_rates"]["ppo_vs_sft"]["gold"],
        "judge": outcome.figures["win_rates"]["ppo_vs_sft"]["judge"],
        "kl": outcome.figures["policies"]["ppo"]["kl"],
    }
    beside = cell.with_suffix(".new")
    beside.write_text(json.dumps(found))
    beside.rename(cell)
    return found


def main() -> None:
    load_env()
    show_progress()
    with connect(admin_url()) as connection:
        weeks = demo_weeks(connection)
    if weeks is None:
        raise SystemExit("there is no demo feedback here; run `make demo` first")
    kept = home() / "benchmarks" / "ppo_seeds"
    kept.mkdir(parents=True, exist_ok=True)
    rows = [one_seed(ArtifactStore(artifact_root()), weeks[1], seed, kept) for seed in SEEDS]
    won = sum(row["gold"]["value"] for row in rows) / len(rows)
    print(  # noqa: T201
        json.dumps(
            {
                "name": "ppo_seeds",
                "ours": "PPO",
                "peer": "SFT",
                "ratio": won / (1 - won),
                "unit": "share of held-out prompts won by gold, mean over seeds; interval from the lowest bound of any "
                "seed to the highest",
                "value": won,
                "interval": [min(row["gold"]["low"] for row in rows), max(row["gold"]["high"] for row in rows)],
                "seeds": list(SEEDS),
                "rows": [{name: row[name] for name in ("seed", "gold", "judge", "kl")} for row in rows],
            }
        )
    )


if __name__ == "__main__":
    main()
