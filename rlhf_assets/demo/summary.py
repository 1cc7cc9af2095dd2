"""What the demo found, from cards and files alone: one object for programs, some tables for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.demo.taste import step_taste, taste
from rlhf_assets.demo.users import MESSAGE_SCALE, STEP_SCALE, expected_score
from rlhf_assets.feedback.weeks import weeks_between
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.card import Status

SHOWN_ANSWERS = 3
FIGURES = {
    "kl": "KL, nats a reply",
    "length": "length, tokens",
    "stop_rate": "share that stopped",
    "repetition": "repeated trigrams",
    "faulty": "share of faulty texts",
    "perplexity": "perplexity of plain text",
    "questions_right": "share of plain questions right",
}
WINS = ("judge", "length_controlled", "gold")
USABLE: tuple[Status, ...] = ("candidate", "accepted", "promoted")
MADE: tuple[Status, ...] = (*USABLE, "rejected")
MODELS = ("reward_dataset", "policy_prompts", "reward_model", "judge_model", "sft_policy", "ppo_policy",
          "policy_evaluation", "promotion")  # fmt: skip


def summarise(store: ArtifactStore, first: str, last: str) -> dict[str, Any]:
    """The demo's figures, without times and database rows; JSON but for NaN. See README for the shape."""
    weeks = weeks_between(first, last)
    raw = store.require_weeks("raw_message_feedback", weeks) + store.require_weeks("raw_step_feedback", weeks)
    clean = store.require_weeks("clean_feedback", weeks)
    refused = pd.concat(
        [artifact.frame("rows.parquet") for artifact in store.require_weeks("quarantined_feedback", weeks)]
    )
    made = chain(store, store.require("promotion", last, MADE))
    reward, judge, comparison = made["reward_model"], made["judge_model"], made["policy_evaluation"]
    best = ceiling(reward.frame("test_predictions.parquet"))
    figures = reward.card.figures
    return {
        "weeks": {"first": first, "last": last},
        "ratings": {
            "in": sum(artifact.card.counts["rows"] for artifact in raw),
            "clean": sum(artifact.card.counts["rows"] for artifact in clean),
            "quarantined": {str(k): int(v) for k, v in refused["reason"].value_counts().items()},
        },
        "dataset": dict(made["reward_dataset"].card.counts),
        "taste": {"r2_of_length_and_stopping": explained_by_shape(), "spearman_ceiling": best},
        "reward_model": {**test_figures(figures), "share_of_ceiling": figures["spearman"]["value"] / best},
        "judge_model": test_figures(judge.card.figures),
        "sampling": {name: comparison.card.settings[name] for name in ("temperature", "max_new_tokens")},
        "policies": comparison.card.figures["policies"],
        "win_rates": comparison.card.figures["win_rates"],
        "promotion": {"status": made["promotion"].card.status, "reasons": made["promotion"].card.reasons},
        "samples": samples(comparison),
        "cuts": cuts(made["ppo_policy"].card.settings),
        "artifacts": {asset: str(artifact.folder) for asset, artifact in made.items()},
    }


def chain(store: ArtifactStore, verdict: Artifact) -> dict[str, Artifact]:
    """That verdict and all it rests on, of its week: the newest artifact of an asset may belong to another chain."""
    found, waiting = {verdict.card.asset: verdict}, [verdict]
    while waiting:
        for parent in waiting.pop(0).card.parents:
            if parent.week == verdict.card.week and parent.asset in MODELS and parent.asset not in found:
                found[parent.asset] = store.open(parent.path)
                waiting.append(found[parent.asset])
    return {asset: found[asset] for asset in MODELS}


def cuts(ppo: Mapping[str, Any]) -> list[str]:
    """In what the run was shorter than by default, in sentences."""
    whole = PpoSettings.model_fields["updates"].default
    return [f"PPO ran {ppo['updates']} updates, not {whole}"] if ppo["updates"] < whole else []


def test_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    names = ("mse", "mse_of_mean", "mse_ratio", "spearman", "pair_accuracy", "by_kind", "by_segment")
    return {name: figures[name] for name in names}


def ceiling(test: pd.DataFrame) -> float:
    """Spearman of the raters' expected rating with the rating they gave: no model can do better but by luck."""
    steps = (test["kind"] == "step").to_numpy()
    best = np.zeros(len(test))
    for rows, like, scale in ((steps, step_taste, STEP_SCALE), (~steps, taste, MESSAGE_SCALE)):
        texts = zip(test["query"][rows], test["response"][rows], strict=True)
        best[rows] = expected_score(np.array([like(query, response) for query, response in texts]), scale)
    return float(pd.Series(best).corr(pd.Series(test["score"].to_numpy()), method="spearman"))


def explained_by_shape() -> float:
    """R2 of a linear fit of taste on an answer's length and on whether it stopped by itself."""
    from sklearn.linear_model import LinearRegression

    answers = list(read_lines(ANSWERS))
    liked = np.array([taste(a["query"], a["response"]) for a in answers])
    shape = np.array([[len(a["response"]), a["finished"]] for a in answers])
    return float(LinearRegression().fit(shape, liked).score(shape, liked))


def samples(comparison: Artifact) -> list[dict[Any, Any]]:
    """Some held-out questions with each policy's answer; the questions are the project's own."""
    answers = comparison.frame("samples.parquet")
    side_by_side = answers.pivot(index=["prompt_id", "query"], columns="policy", values="response").reset_index("query")
    return side_by_side.sort_index().head(SHOWN_ANSWERS).to_dict("records")


def show_summary(summary: Mapping[str, Any]) -> None:
    """Print it for a person."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()

    def table(title: str, *columns: str) -> Table:
        console.print(f"\n[bold]{title}[/]")  # a table's own title would wrap at the table's width
        return Table(*columns, box=None, pad_edge=False)

    ratings, weeks = summary["ratings"], summary["weeks"]
    feedback = table(f"Feedback, weeks {weeks['first']} to {weeks['last']}", "", "ratings")
    feedback.add_row("in", str(ratings["in"]))
    feedback.add_row("clean", str(ratings["clean"]))
    for reason, count in ratings["quarantined"].items():
        feedback.add_row(f"refused: {reason}", str(count))
    for side, count in summary["dataset"].items():
        feedback.add_row(f"dataset: {side.replace('_', ' ')}", str(count))
    console.print(feedback)

    tested = table("Reward model and judge on held-out questions", "", "reward model", "judge")
    for name in ("mse", "mse_of_mean", "mse_ratio", "spearman", "pair_accuracy"):
        tested.add_row(
            name.replace("_", " "), *(interval(summary[model][name]) for model in ("reward_model", "judge_model"))
        )
    for split in ("by_kind", "by_segment"):
        for name in summary["reward_model"][split]:
            both = (summary[model][split].get(name) for model in ("reward_model", "judge_model"))
            tested.add_row(f"spearman, {name}", *(interval(f["spearman"]) if f else "" for f in both))
    console.print(tested)
    tasted = summary["taste"]
    console.print(
        f"The simulated users' noise lets no model above Spearman {tasted['spearman_ceiling']:.3f}, which the model's "
        "report estimates from the votes alone; the reward model reaches "
        f"{summary['reward_model']['share_of_ceiling']:.0%} of that. Length and stopping explain "
        f"{tasted['r2_of_length_and_stopping']:.0%} of the true taste."
    )

    drawn = summary["sampling"]
    how = f"answers drawn at temperature {drawn['temperature']:g}, cut at {drawn['max_new_tokens']} tokens"
    policies = table(f"Policies on held-out prompts ({how})", "", *summary["policies"])
    for name in ("gold", "judge"):
        policies.add_row(f"{name} score", *(interval(p.get(name)) for p in summary["policies"].values()))
    for name, label in FIGURES.items():
        values = (policy[name] for policy in summary["policies"].values())
        policies.add_row(label, *("" if value is None else f"{value:.2f}" for value in values))
    console.print(policies)
    wins = table("Win rates with 95 % intervals", "", "judge", "judge at equal length", "gold (true taste)")
    for pair, by_scorer in summary["win_rates"].items():
        wins.add_row(pair.replace("_", " "), *(interval(by_scorer.get(name)) for name in WINS))
    console.print(wins)
    verdict = summary["promotion"]
    console.print(f"Promotion: {verdict['status']}" + "".join(f"; {escape(r)}" for r in verdict["reasons"]))

    for sample in summary["samples"]:
        answers = table(f"{escape(sample['query'])}", "", "")
        for policy in summary["policies"]:
            answers.add_row(policy, escape(sample[policy].strip()))
        console.print(answers)

    total = sum(summary["minutes"].values())
    took = table(f"Minutes, {total:.1f} in all, at most {summary['peak_memory_gb']:.1f} GB", *summary["minutes"])
    took.add_row(
        *(f"{value:.1f}" + (" (reused)" if s in summary["reused"] else "") for s, value in summary["minutes"].items())
    )
    console.print(took)
    for cut in summary["cuts"]:
        console.print(f"[yellow]Shorter than by default: {escape(cut)}.[/]")
    console.print("\n[bold]Artifacts[/]")
    for folder in summary["artifacts"].values():
        console.print(folder, soft_wrap=True, highlight=False, markup=False)


def interval(figure: Mapping[str, float | None] | None) -> str:
    """`0.612 (0.58 to 0.64)`, or nothing where there is no figure."""
    if figure is None or figure["value"] is None:
        return ""
    return f"{figure['value']:.3f} ({figure['low']:.2f} to {figure['high']:.2f})"
