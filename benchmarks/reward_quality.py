"""The default reward model on judgments that nobody here wrote: `python -m benchmarks.reward_quality --data FILE`.

FILE is of one of the shapes in `benchmarks.judgments`. In five folds by `group` the model learns from four fifths (a
part of their groups validates) and is asked about the rest, and so is the reference, a linear head on a frozen sentence
encoder and the answer's length. Each finished fold is kept under `.rlhf/benchmarks`, by the file's hash and the
settings, and not made again. One line is printed:

metric      accuracy (pairs) or pearson (ratings, steps; the mean of the folds')
value, interval, peer, difference   ours, the reference's and theirs apart, intervals by bootstrap over groups, paired
length_only                         the longer text is the better one
longer_lost                         our accuracy where the longer answer lost (pairs alone)
calibration_error                   how far what the model says is from what is so, over equal bins
signal, verdict                     whether our interval is above chance, and what that means
"""

import argparse
import hashlib
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from benchmarks.frozen_encoder import embeddings, reference
from benchmarks.judgments import Judgments, read_judgments
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.reward.calibration_figures import bins, ece
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets.statistics import bootstrap
from rlhf_assets.storage.home import home

log = logging.getLogger("rlhf_assets.benchmarks")

FOLDS, VALIDATION = 5, 0.15


def answered(judgments: Judgments, settings: RewardSettings, compute: Compute, kept: Path) -> pd.DataFrame:
    """A row a judgment, each answered by a model that did not know its group: ours and the reference's difference of
    the two texts (pairs) or rating, and our probability or rating after calibration."""
    made, vectors = [], None
    everything = np.arange(len(judgments.groups))
    for fold, (known, test) in enumerate(GroupKFold(FOLDS).split(everything, groups=judgments.groups)):
        file = kept / f"fold-{fold}.parquet"
        if not file.exists():
            log.info("fold %d of %d: %d judgments to learn from", fold + 1, FOLDS, len(known))
            vectors = embeddings(settings.base_model, judgments) if vectors is None else vectors
            inner = GroupShuffleSplit(1, test_size=VALIDATION, random_state=settings.seed)
            learn, check = next(inner.split(known, groups=judgments.groups[known]))
            rows = one_fold(judgments, known[learn], known[check], test, vectors, settings, compute)
            kept.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(file.with_suffix(".partial"))
            file.with_suffix(".partial").rename(file)
        made.append(pd.read_parquet(file).assign(fold=fold))
    return pd.concat(made, ignore_index=True)


def one_fold(
    judgments: Judgments,
    train: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
    vectors: np.ndarray,
    settings: RewardSettings,
    compute: Compute,
) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        learn, check = judgments.votes(train), judgments.votes(validation)
        pairs = (judgments.pairs(train), judgments.pairs(validation))
        outcome = train_reward(learn, check, settings, compute, Path(folder), pairs)
        scorer, raw = RewardScorer(folder, compute), np.full(len(judgments.asked), np.nan)
        judged = np.concatenate([test, validation])
        asked = np.unique([judgments.first[judged], judgments.second[judged]])
        raw[asked] = scorer.score_votes(judgments.asked.iloc[asked])
        rating = scorer.calibrated(raw)
    theirs = reference(judgments, vectors, train, validation)
    if judgments.shape != "pairs":
        ours, peer = raw[judgments.first[test]], theirs[judgments.first[test]]
        sure = rating[judgments.first[test]]
    else:
        ours, peer = (said[judgments.first[test]] - said[judgments.second[test]] for said in (raw, theirs))
        sure = expit(steepness(raw[judgments.first[validation]] - raw[judgments.second[validation]]) * ours)
    length = judgments.asked["response"].str.len().to_numpy()
    return pd.DataFrame(
        {
            "group": judgments.groups[test],
            "given": judgments.given[test],
            "ours": ours,
            "peer": peer,
            "sure": sure,
            "length": length[judgments.first[test]]
            - (length[judgments.second[test]] if judgments.shape == "pairs" else 0),
            "best_epoch": outcome.best_epoch,
        }
    )


def steepness(gaps: np.ndarray) -> float:
    """Of the logistic from the gap of a pair to the chance that it was judged so, fitted on pairs never trained on."""
    both, right = np.concatenate([gaps, -gaps])[:, None], np.repeat([1, 0], len(gaps))
    return float(LogisticRegression(C=1e6, fit_intercept=False).fit(both, right).coef_[0, 0])


def accuracy(gaps: np.ndarray) -> float:
    return float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))


def pearson(said: np.ndarray, given: np.ndarray, fold: np.ndarray) -> float:
    """The mean of the folds' correlations: each fold's model has a scale of its own."""
    of_folds = [
        float(np.corrcoef(said[rows], given[rows])[0, 1])
        for rows in (fold == number for number in np.unique(fold))
        if said[rows].std() > 0 and given[rows].std() > 0
    ]
    return float(np.mean(of_folds)) if of_folds else float("nan")


def figures(rows: pd.DataFrame, shape: str, seed: int) -> dict[str, Any]:
    given, ours, peer, length = (rows[name].to_numpy(float) for name in ("given", "ours", "peer", "length"))
    groups, pairs = rows["group"].to_numpy(), shape == "pairs"
    fold = rows["fold"].to_numpy()
    quality = (lambda said, *_: accuracy(said)) if pairs else pearson
    own = bootstrap(quality, ours, given, fold, groups=groups, seed=seed)
    apart = bootstrap(
        lambda one, other, *so: quality(one, *so) - quality(other, *so),
        *(ours, peer, given, fold),
        groups=groups,
        seed=seed,
    )
    chance = 0.5 if pairs else 0.0
    sure = rows["sure"].to_numpy(float)
    if pairs:  # either order, so that being sure and wrong counts
        sure, given = np.concatenate([sure, 1 - sure]), np.repeat([1.0, 0.0], len(sure))
    signal = own.low > chance
    return {
        "metric": "accuracy" if pairs else "pearson",
        "value": own.value,
        "interval": [own.low, own.high],
        "peer": quality(peer, rows["given"].to_numpy(float), fold),
        "difference": apart.as_dict(),
        "length_only": quality(length, rows["given"].to_numpy(float), fold),
        "longer_lost": accuracy(ours[length < 0]) if pairs and (length < 0).any() else None,
        "calibration_error": ece(bins(sure), sure, given),
        "signal": signal,
        "verdict": "better than chance" if signal else "no signal at this size: the interval reaches chance",
        "judgments": len(rows),
        "groups": len(np.unique(groups)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    show_progress()
    settings, compute = RewardSettings(seed=arguments.seed), choose_compute()
    try:
        judgments = read_judgments(arguments.data, FOLDS)
    except (RlhfError, OSError) as error:
        sys.exit(str(error))
    known_by = hashlib.sha256(arguments.data.read_bytes() + settings.model_dump_json().encode()).hexdigest()[:12]
    rows = answered(judgments, settings, compute, home() / "benchmarks" / "reward_quality" / known_by)
    found = figures(rows, judgments.shape, settings.seed)
    line = {
        "name": "reward_quality",
        "data": arguments.data.name,
        "ours": found["value"],
        "ratio": None,
        "unit": f"{found['metric']} on judgments of groups never trained on, {FOLDS} folds",
        "seeds": [settings.seed],
        **found,
        "lines_left_out": judgments.left_out,
        "rows": rows.groupby("fold")["best_epoch"].first().reset_index().to_dict("records"),
    }
    print(json.dumps(line))  # noqa: T201


if __name__ == "__main__":
    main()
