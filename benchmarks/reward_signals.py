"""What each signal earns, where the true taste is known: `python -m benchmarks.reward_signals`.

A model learns from the demo's votes with each signal alone, with all but one, and with all, three seeds each, from the
same share of the questions (`--questions`), so that all of it takes 45 minutes on two cores. The default is all but
pairs; two arms leave one more out of that. Each finished training is kept under `.rlhf/benchmarks`, by its votes and
settings, and not made again.

scores   ratings of 1 to 5; without them, those of steps are missing too
thumbs   thumbs without a score; without them, those of steps are missing too
pairs    which of the answers to one question was rated better, by whatever kind of rating, with PAIR_WEIGHT
steps    ratings of single steps, beside those of answers; alone, both their scores and their thumbs

One more arm learns from all of them and lets a vote count by how seldom answers such as its own get rated.

Every arm is asked about all answers and steps on the test side, of which it has seen no question. Figures are means
over the seeds, with intervals by bootstrap over questions:

spearman, step_spearman   of the model's output with the true taste, of answers and of steps
pair_accuracy             of two answers to one question, the one of better taste gets more
difference                to learning from all signals, of each of the three, paired
difference_to_default     to learning from all but pairs
"""

import argparse
import hashlib
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.demo_votes import demo_dataset
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.demo.taste import step_taste, taste
from rlhf_assets.feedback.split import Dataset
from rlhf_assets.reward.evaluation import pairs, spearman
from rlhf_assets.reward.inputs import TEXTS
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets.statistics import bootstrap
from rlhf_assets.storage.home import home

log = logging.getLogger("rlhf_assets.benchmarks")

SIGNALS = ("scores", "thumbs", "pairs", "steps")
ALL, DEFAULT, PROPENSITY = "all", "all but pairs", "all by inverse propensity"
ARMS = {
    ALL: set(SIGNALS),
    **{f"{name} alone": {name} for name in SIGNALS},
    **{f"{ALL} but {name}": set(SIGNALS) - {name} for name in SIGNALS},
    **{f"{DEFAULT} and {name}": set(SIGNALS) - {"pairs", name} for name in ("thumbs", "steps")},
    PROPENSITY: set(SIGNALS),
}
PAIR_WEIGHT = 0.1  # the default is 0, for what this table says of pairs
SEEDS = (0, 1, 2)
QUESTIONS = 340  # of the 875 there are to train on


def arm(name: str, settings: RewardSettings, votes: pd.DataFrame) -> tuple[RewardSettings, pd.DataFrame]:
    """Settings and votes with which nothing but that arm's signals is learned from."""
    signals = ARMS[name]
    if name == PROPENSITY:
        return settings.model_copy(update={"maximum_inverse_propensity": 3.0}), votes
    if signals == {"steps"}:  # no weight tells a step's score from an answer's
        return settings, votes[votes["kind"] == "step"]
    off = {f"{signal.removesuffix('s')}_weight": 0.0 for signal in SIGNALS if signal not in signals}
    return settings.model_copy(update=off), votes


def share_of_questions(dataset: Dataset, questions: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Votes of that many questions to train on, and of as large a share of those to validate on."""
    draw = np.random.default_rng(0)
    share = questions / dataset.train["query"].nunique()
    chosen = []
    for votes in (dataset.train, dataset.validation):
        asked = votes["query"].unique()
        drawn = draw.permutation(asked)[: round(share * len(asked))]
        chosen.append(votes[votes["query"].isin(drawn)].reset_index(drop=True))
    return chosen[0], chosen[1]


def asked_of_all(dataset: Dataset) -> pd.DataFrame:
    """Each answer and step on the test side once, with its true taste as `score`."""
    rows = pd.concat([dataset.test, dataset.judge_test])[[*TEXTS, "kind"]].drop_duplicates(ignore_index=True)
    gold = [
        (taste if kind == "message" else step_taste)(query, response)
        for query, response, kind in zip(rows["query"], rows["response"], rows["kind"], strict=True)
    ]
    return rows.assign(score=gold, is_thumb=False)


def said(
    train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame, settings: RewardSettings, compute: Compute
) -> pd.DataFrame:
    """What one model says of each row of `test`, and how it was trained."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = train_reward(train, validation, settings, compute, Path(folder))
        asked = test.to_dict("list")
        raw = RewardScorer(folder, compute).score(
            asked["query"], asked["response"], asked["context"], asked["steps_before"]
        )
    return pd.DataFrame({"raw": raw, "best_epoch": outcome.best_epoch, "seconds": outcome.seconds})


def kept(file: Path, *training: Any) -> pd.DataFrame:
    if not file.exists():
        log.info("%s", file.stem)
        file.parent.mkdir(parents=True, exist_ok=True)
        said(*training).to_parquet(file.with_suffix(".partial"))
        file.with_suffix(".partial").rename(file)
    return pd.read_parquet(file)


def of_seeds(raw: list[np.ndarray], test: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """By figure: (rows, seeds) what it is made of, (rows,) the true taste, (rows,) the questions."""
    every = np.column_stack(raw)
    figures = {}
    for name, kind in (("spearman", "message"), ("step_spearman", "step")):
        rows = (test["kind"] == kind).to_numpy()
        figures[name] = (every[rows], test["score"].to_numpy()[rows], test["query"].to_numpy()[rows])
    compared = [pairs(one, test) for one in raw]
    right = np.column_stack([one["right"] for one in compared])
    figures["pair_accuracy"] = (right, compared[0]["margin"].to_numpy(), compared[0]["query"].to_numpy())
    return figures


def mean_spearman(every: np.ndarray, gold: np.ndarray) -> float:
    return float(np.mean([spearman(one, gold) for one in every.T]))


def mean_right(right: np.ndarray, _: np.ndarray) -> float:
    return float(right.mean())


def figures_of(
    raw: list[np.ndarray], peers: dict[str, list[np.ndarray]], test: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """Each figure with its interval, and under the name of each peer how far apart the two are."""
    found: dict[str, dict[str, Any]] = {peer: {} for peer in peers}
    others = {peer: of_seeds(one, test) for peer, one in peers.items()}
    for name, (own, gold, questions) in of_seeds(raw, test).items():
        quality = mean_right if name == "pair_accuracy" else mean_spearman
        found[name] = bootstrap(quality, own, gold, groups=questions).as_dict()
        for peer, of in others.items():
            apart = bootstrap(
                lambda one, other, so, quality=quality: quality(one, so) - quality(other, so),
                own, of[name][0], gold, groups=questions,
            )  # fmt: skip
            found[peer][name] = apart.as_dict()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="to train on; 875 are all there are")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="the two compared with always")
    arguments = parser.parse_args()
    show_progress()
    settings, compute, dataset = RewardSettings(pair_weight=PAIR_WEIGHT), choose_compute(), demo_dataset()
    train, validation = share_of_questions(dataset, arguments.questions)
    test = asked_of_all(dataset)
    trained_on = pd.util.hash_pandas_object(pd.concat([train, validation]), index=False).to_numpy().tobytes()
    known_by = hashlib.sha256(trained_on + settings.model_dump_json().encode()).hexdigest()[:12]
    folder = home() / "benchmarks" / "reward_signals" / known_by
    made: dict[str, list[pd.DataFrame]] = {}
    for seed in arguments.seeds:  # seed by seed, so that a stopped run has compared all arms
        for name in dict.fromkeys([ALL, DEFAULT, *arguments.arms]):
            own, learned = arm(name, settings.model_copy(update={"seed": seed}), train)
            held_out = arm(name, settings, validation)[1]
            file = folder / f"{name.replace(' ', '_')}-{seed}.parquet"
            made.setdefault(name, []).append(kept(file, learned, held_out, test, own, compute))
    raw = {name: [one["raw"].to_numpy() for one in runs] for name, runs in made.items()}
    rows: list[dict[str, Any]] = [
        {
            "arm": name,
            **figures_of(raw[name], {"difference": raw[ALL], "difference_to_default": raw[DEFAULT]}, test),
            "best_epochs": [int(one["best_epoch"].iloc[0]) for one in runs],
            "seconds": [float(one["seconds"].iloc[0]) for one in runs],
        }
        for name, runs in made.items()
    ]
    value = rows[0]["spearman"]
    line = {
        "name": "reward_signals",
        "ours": value["value"],
        "peer": None,
        "ratio": None,
        "unit": "Spearman with the true taste on answers to questions never trained on, from all signals",
        "value": value["value"],
        "interval": [value["low"], value["high"]],
        "seeds": list(arguments.seeds),
        "questions": arguments.questions,
        "answers": int((test["kind"] == "message").sum()),
        "rows": rows,
    }
    print(json.dumps(line))  # noqa: T201


if __name__ == "__main__":
    main()
