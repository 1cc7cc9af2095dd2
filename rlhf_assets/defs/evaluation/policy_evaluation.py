"""How the week's policies compare on prompts that nothing was trained on."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from rlhf_assets.defs.datasets.policy_prompts import PROMPTS
from rlhf_assets.defs.labels import MODEL_FRESH, USER_TEXT
from rlhf_assets.defs.launchpad import launchpad_form, settings_of, status_of
from rlhf_assets.defs.partitions import RUN_A_WEEK, WEEKS, week_of_run
from rlhf_assets.defs.policy.ppo_policy import why_none
from rlhf_assets.defs.reporting import GPU_TAGS, OWNERS, image, mendable, report, skip
from rlhf_assets.defs.resources import Artifacts, ComputeResource, Gold
from rlhf_assets.feedback.settings import CleaningSettings
from rlhf_assets.policy.settings import EvaluationSettings, GateSettings
from rlhf_assets.settings import project_settings
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.promotions import promoted_before

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CODE_VERSION = "2"
SAMPLES = "samples.parquet"  # every prompt with every policy's answer; holds users' text
REPORT = "report.html"
SHOWN = 5  # shipped questions whose answers the UI and the report show
LEARNT = [f"{voters}{side}.parquet" for voters in ("", "judge_") for side in ("train", "validation")]


@launchpad_form
class EvaluationConfig(dg.Config, EvaluationSettings):
    """How policies are compared; other values than the project's own make an experiment."""


def policy_of_run(store: ArtifactStore, week: str, run_id: str) -> Artifact | None:
    """The run's own PPO policy when it is an experiment, else the week's candidate."""
    own = store.of_run("ppo_policy", week, run_id)
    return own if own and own.card.status == "experiment" else store.newest("ppo_policy", week, ("candidate",))


def lineage(store: ArtifactStore, artifact: Artifact, asset: str) -> Artifact:
    """The artifact of that asset and the same week that this one was made from: the candidate, not the incumbent."""
    week = artifact.card.week
    return store.open(next(p.path for p in artifact.card.parents if (p.asset, p.week) == (asset, week)))


def unseen(prompts: "pd.DataFrame", store: ArtifactStore, *models: Artifact) -> "pd.DataFrame":
    """The prompts of which no turn was on the training or validation side, the judge's included, of a model's dataset.

    A model may have been made from another dataset than the prompts' sides are those of, and from another than is made
    today: when the first of a cluster's votes is taken away, the next one founds it, perhaps on another side.
    """
    from rlhf_assets.feedback.split import CHAT, user_turns

    datasets = {data.relative_path: data for data in (lineage(store, model, "reward_dataset") for model in models)}
    frames = [data.frame(name)[CHAT].drop_duplicates() for data in datasets.values() for name in LEARNT]
    learnt = {turn for rows in frames for chat in rows.itertuples(index=False) for turn in user_turns(*chat)}
    chats = prompts[CHAT].itertuples(index=False)
    return prompts[[learnt.isdisjoint(user_turns(*chat)) for chat in chats]]


@dg.asset(
    deps=["sft_policy", "ppo_policy", "reward_model", "judge_model", "policy_prompts"],
    output_required=False,
    partitions_def=WEEKS,
    backfill_policy=RUN_A_WEEK,
    pool="gpu",
    op_tags=GPU_TAGS,
    kinds={"pytorch", "report"},
    owners=OWNERS,
    tags=USER_TEXT,
    freshness_policy=MODEL_FRESH,
    group_name="evaluation",
    code_version=CODE_VERSION,
)
def policy_evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    artifacts: Artifacts,
    compute: ComputeResource,
    gold: Gold,
) -> Iterator[dg.MaterializeResult]:
    """Base, SFT, PPO, the policy promoted before and the best of n, by the judge, and by gold where it is known.

    All answer the same held-out prompts, of which no model has seen anything. Best of n is the reward model's favourite
    of several replies of SFT; gold is the true taste of simulated users. The report and all answers lie beside.
    """
    from rlhf_assets.feedback.personal_data import PersonalData
    from rlhf_assets.policy.evaluation import evaluate_policies
    from rlhf_assets.policy.policy_report import pictures, report_html
    from rlhf_assets.reward.scoring import RewardScorer
    from rlhf_assets.storage.models import resolve_model

    store, week, settings = artifacts.store, week_of_run(context), settings_of(config, EvaluationSettings)
    with mendable():
        ppo = policy_of_run(store, week, context.run.run_id)
        judge = store.newest("judge_model", week)
        if ppo is None or judge is None:
            skip(context, week, why_none(store, "judge_model" if ppo else "ppo_policy", week))
            return
        sft, reward, asked = (lineage(store, ppo, asset) for asset in ("sft_policy", "reward_model", "policy_prompts"))
        promoted = promoted_before(store, week)
        before = [lineage(store, promoted, asset) for asset in ("sft_policy", "reward_model")] if promoted else []
        held_out = asked.frame(PROMPTS).query("side == 'test'")
        prompts = unseen(held_out, store, sft, reward, judge, *before)
        if prompts.empty:
            skip(context, week, "no held-out prompts to compare policies on")
            return
        policies: dict[str, str | Path] = {"base": resolve_model(sft.card.settings["base_model"]), "sft": sft.local()}
        if promoted:
            policies["promoted"] = promoted.local()
        policies["ppo"] = ppo.local()  # last: the later policy is the one whose wins are counted
        taste = gold.load()
    with mendable(), store.draft("policy_evaluation", week, context.run.run_id) as draft:
        device = compute.choose()
        scorers: dict[str, Callable[..., np.ndarray]] = {"judge": RewardScorer(judge.local(), device).score}
        if taste:
            scorers["gold"] = gold_scorer(taste)
        best_of = RewardScorer(reward.local(), device).score
        contacts = PersonalData(project_settings(CleaningSettings).phone_regions)
        outcome = evaluate_policies(policies, prompts, scorers, "sft", settings, device, best_of, contacts)
        outcome.samples.to_parquet(draft.folder / SAMPLES)
        public = by_question(public_samples(outcome.samples, prompts))
        trained, gate = ppo.card.figures, project_settings(GateSettings)
        drawn = pictures(outcome.figures, trained)
        page = report_html(week, outcome.figures, trained, gate, public, drawn)
        (draft.folder / REPORT).write_text(page, encoding="utf-8")
        made = draft.commit(
            status_of(settings, ppo),
            parents=[ppo, sft, reward, judge, asked, *([promoted] if promoted else [])],
            settings=settings,
            seeds={"seed": settings.seed},
            code_version=CODE_VERSION,
            counts={
                "prompts": outcome.samples["prompt_id"].nunique(),
                "prompts_seen_before": len(held_out) - len(prompts),
            },
            figures={**outcome.figures, "compute": f"{device.device} {device.precision}"},
        )
    shown: dict[str, Any] = {
        "report": dg.MetadataValue.path(str(made.path(REPORT))),
        **{title.lower().replace(" ", "_"): image(png) for title, png in drawn.items()},
        **({"answers": side_by_side(public)} if public else {}),
        **compared(made.card.figures),
    }
    yield report(context, {week: made}, "policy_evaluation", shown)


def gold_scorer(taste: Callable[[str, str], float]) -> "Callable[..., np.ndarray]":
    """The taste of one query and answer as a scorer of many."""
    import numpy as np

    def score(queries: Sequence[str], responses: Sequence[str], contexts: Sequence[str] | None = None) -> "np.ndarray":
        return np.array([taste(query, response) for query, response in zip(queries, responses, strict=True)], float)

    return score


def compared(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What the UI draws over the weeks, as numbers, and all of it as two tables; intervals stand in the report."""
    wins, policies = figures["win_rates"], figures["policies"]
    names = {scorer: f"ppo_over_sft_by_{scorer}" for scorer in wins["ppo_vs_sft"]}
    names["length_controlled"] = "ppo_over_sft_at_equal_length"
    ppo = {"kl": "ppo_kl_nats_a_reply", "length": "ppo_tokens_a_reply", "stop_rate": "ppo_share_that_stopped"}
    by_figure = {figure: {name: of[figure] for name, of in policies.items()} for figure in policies["ppo"]}
    return {
        **{name: wins["ppo_vs_sft"][scorer]["value"] for scorer, name in names.items()},
        **{name: policies["ppo"][figure] for figure, name in ppo.items()},
        "all_win_rates": table("pair", wins),
        "all_policies": table("figure", by_figure),
    }


def table(kind: str, rows: Mapping[str, Mapping[str, Any]]) -> dg.TableMetadataValue:
    """A row for each of `rows`, named in column `kind`, with the value of each of its figures."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({kind: spoken(name)} | {spoken(figure): rounded(value) for figure, value in named.items()})
            for name, named in rows.items()
        ]
    )


def spoken(name: str) -> str:
    return name.replace("length_controlled", "equal length").replace("_", " ")


def rounded(figure: dict[str, float | None] | float | None) -> str:
    """The value, of one with an interval too."""
    value = figure["value"] if isinstance(figure, dict) else figure
    return "undefined" if value is None else f"{value:.2f}"


def public_samples(samples: "pd.DataFrame", prompts: "pd.DataFrame") -> "pd.DataFrame":
    """The answers to questions that are shipped with the project and open their chat, so that they are nobody's own."""
    from rlhf_assets.demo.answers import ANSWERS
    from rlhf_assets.demo.lines import read_lines

    shipped = {line["query"] for line in read_lines(ANSWERS)}
    shown = prompts[prompts["query"].isin(shipped) & (prompts["context"] == "[]")]
    return samples[samples["prompt_id"].isin(shown["prompt_id"])]


def by_question(samples: "pd.DataFrame") -> list[tuple[str, dict[str, str]]]:
    """The first prompts' questions, each with the answer of every policy."""
    prompts = list(samples.groupby("prompt_id", sort=False))[:SHOWN]
    return [(rows["query"].iloc[0], dict(zip(rows["policy"], rows["response"], strict=True))) for _, rows in prompts]


def side_by_side(answers: list[tuple[str, dict[str, str]]]) -> dg.MarkdownMetadataValue:
    """Questions with each policy's answer, verbatim: the UI shows Markdown and drops HTML."""
    parts = []
    for query, said in answers:
        parts.append(f"#### {query}")
        for policy, answer in said.items():
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", answer)), default=0))  # none closes it early
            parts.append(f"**{policy}**\n{fence}text\n{answer}\n{fence}")
    return dg.MetadataValue.md("\n\n".join(parts))
