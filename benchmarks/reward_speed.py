"""Our reward-model training and scoring against the guide's recipe: `python -m benchmarks.reward_speed` (20 minutes).

Same base model, same demo rows, the same number of optimizer steps, timed by one hook of torch's after a warm-up;
what comes before the first step counts for neither: loading and tokenising, and ours then reads all texts once to fit a
head on them. Its seconds stand beside, with those after the last step. A pair measures both sides one right after the
other, each in a process of its own, and who goes first changes. Ours is `train_reward` and `RewardScorer.score`
with the project's own settings and the precision it chooses here; the guide's is `benchmarks/guide_recipe.py`.

A sample is a distinct text for both sides, and `ratio` is by them: the guide keeps the first vote on each text and
throws the others away, ours learns from all votes on a text while it encodes it once. By votes ours is faster still;
that stands beside. The interval is the lowest and the highest of the pairs.

`--full` trains both sides on all of the demo's training rows for the guide's three epochs (half an hour, since the
guide's rows are not padded there, which changes its speed and not what it learns); one that was stopped goes on, a
finished one is made again and replaces what an earlier one left under `.rlhf/benchmarks`. The test MSE is of these.
"""

import argparse
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.demo_votes import demo_dataset
from rlhf_assets.commands.output import show_progress
from rlhf_assets.feedback.split import Dataset
from rlhf_assets.progress import Progress
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.statistics import bootstrap
from rlhf_assets.storage.home import home

log = logging.getLogger("rlhf_assets.benchmarks.reward_speed")

STEPS, PAIRS, SEED = 20, 5, 0
EPOCHS = 3  # the guide's
SIDES = ("ours", "guide")
ROWS = ("train", "validation", "test")
TOLERANCE = {"bf16": 1e-2, "fp32": 1e-4}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--steps", type=int, default=STEPS, help="optimizer steps that are timed")
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    arguments.add_argument("--full", action="store_true", help="make or repeat the full runs (half an hour)")
    asked = arguments.parse_args()
    show_progress()
    dataset, kept = demo_dataset(), home() / "benchmarks" / "reward_speed"
    if asked.full:
        train_in_full(dataset, kept)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(dataset, folder)
        rate = cell("matrix-rate", folder)
        progress, pairs = Progress("pairs", asked.pairs), []
        for number in range(asked.pairs):
            pairs.append(pair(number, folder, asked.steps))
            progress.step(f"training {pairs[-1]['train']:.1f}, scoring {pairs[-1]['score']:.1f} times")
        exact = cell("score-ours-fp32", folder)
    print(json.dumps(report(pairs, exact, rate, test_mse(dataset, kept))))  # noqa: T201


def write_rows(dataset: Dataset, folder: Path) -> None:
    for side in ROWS:
        getattr(dataset, side).to_parquet(folder / f"{side}.parquet")


def cell(name: str, folder: Path, count: int = 0) -> dict[str, Any]:
    """What the process of that cell found."""
    command = [sys.executable, "-m", "benchmarks.reward_speed_cells", name, str(folder), str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def pair(number: int, folder: Path, steps: int) -> dict[str, Any]:
    """Both sides of training and of scoring, and by what factor ours was faster in each."""
    order = SIDES if number % 2 else SIDES[::-1]
    found: dict[str, Any] = {}
    for task in ("train", "score"):  # both sides score with what ours trained
        found |= {f"{task}-{side}": cell(f"{task}-{side}", folder, steps) for side in order}
        ours, guide = (found[f"{task}-{side}"]["texts_per_second"] for side in SIDES)
        found[task] = ours / guide
    return found | {"same": same_scores(found["score-ours"], found["score-guide"])}


def same_scores(ours: dict[str, Any], guide: dict[str, Any]) -> dict[str, Any]:
    difference = float(np.abs(np.subtract(ours["scores"], guide["scores"])).max())
    tolerance = TOLERANCE[ours["precision"]]
    return {"largest_difference": difference, "tolerance": tolerance, "equal": difference <= tolerance}


def train_in_full(dataset: Dataset, kept: Path) -> None:
    """Each side in turn; one that was stopped left a folder, named by what it is made of, and goes on."""
    for side in SIDES:
        hangs_on = json.dumps(made_of(dataset, side), sort_keys=True)
        folder = kept / f"{side}-{hashlib.sha256(hangs_on.encode()).hexdigest()[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(dataset, folder)
        log.info("training in full: %s", side)
        found = cell(f"full-{side}", folder, EPOCHS)
        beside = kept / f"{side}.new"
        beside.write_text(json.dumps({"made_of": made_of(dataset, side), **found}))
        beside.rename(kept / f"{side}.json")
        shutil.rmtree(folder)


def made_of(dataset: Dataset, side: str) -> dict[str, Any]:
    """What a full run rests on, as JSON gives it back."""
    settings = RewardSettings(epochs=EPOCHS).model_dump(mode="json")
    told = [pd.util.hash_pandas_object(getattr(dataset, side)[["vote_id", "score"]]).sum() for side in ROWS]
    return {
        "settings": settings if side == "ours" else {name: settings[name] for name in ("base_model", "epochs")},
        "rows": [str(one) for one in told],
    }


def test_mse(dataset: Dataset, kept: Path) -> dict[str, Any]:
    """Of both full runs, with the interval of the difference over resampled questions."""
    what = f"test MSE after {EPOCHS} epochs"
    stored = {side: kept / f"{side}.json" for side in SIDES}
    found = {side: json.loads(path.read_text()) for side, path in stored.items() if path.is_file()}
    missing = [side for side in SIDES if side not in found or found[side]["made_of"] != made_of(dataset, side)]
    if missing:
        return {"what": what, "missing": f"no full run of {' and '.join(missing)} on these rows; make it with --full"}
    score = dataset.test["score"].to_numpy()
    ours, guide = ((np.array(found[side]["scores"]) - score) ** 2 for side in SIDES)
    difference = bootstrap(
        lambda a, b: float(np.mean(a - b)), ours, guide, groups=dataset.test["cluster"].to_numpy(), seed=SEED
    )
    return {
        "what": what,
        "ours": float(ours.mean()),
        "peer": float(guide.mean()),
        "of_predicting_the_mean": float(np.mean((dataset.train["score"].mean() - score) ** 2)),
        "difference": difference.as_dict(),
    }


def report(
    pairs: list[dict[str, Any]], exact: dict[str, Any], rate: dict[str, Any], mse: dict[str, Any]
) -> dict[str, Any]:
    def middle(name: str, figure: str = "texts_per_second") -> float:
        return median(pair[name][figure] for pair in pairs)

    def memory(task: str) -> dict[str, Any]:
        kinds = [kind for kind in ("memory_mb", "device_memory_mb") if kind in exact]
        peaks = [{kind: max(pair[f"{task}-{side}"][kind] for pair in pairs) for kind in kinds} for side in SIDES]
        return {"what": f"peak memory, {task}", "ours": peaks[0], "peer": peaks[1]}

    def step(side: str) -> dict[str, Any]:
        cells = [pair[f"train-{side}"] for pair in pairs]
        milliseconds = median(one["milliseconds_per_step"] for one in cells)
        return {"what": f"training step, {side}", "timed": cells[0]["steps"], "milliseconds": milliseconds}

    ratios = {task: [pair[task] for pair in pairs] for task in ("train", "score")}
    # a multiplication and an addition for each weight and token, forward once and backward twice; attention's own
    # products are left out
    used = 6 * rate["weights"] * middle("train-ours", "tokens_per_second")
    rows = [
        {
            "what": "training by votes, per second; a text is one vote to the guide",
            "ours": middle("train-ours", "votes_per_second"),
            "peer": middle("train-guide"),
            "ratio": middle("train-ours", "votes_per_second") / middle("train-guide"),
            "precision": sorted({pair["train-ours"]["precision"] for pair in pairs}),
        },
        *(step(side) for side in SIDES),
        {
            "what": "seconds before the first training step and after the last",
            "ours": middle("train-ours", "seconds_beside"),
            "peer": middle("train-guide", "seconds_beside"),
        },
        {
            "what": "scoring, texts per second",
            "ours": middle("score-ours"),
            "peer": middle("score-guide"),
            "ratio": median(ratios["score"]),
            "interval": [min(ratios["score"]), max(ratios["score"])],
            "precision": sorted({pair["score-ours"]["precision"] for pair in pairs}),
            "ours_in_fp32": exact["texts_per_second"],
            "ratio_in_fp32": exact["texts_per_second"] / middle("score-guide"),
        },
        {
            "what": "scores of both sides, largest difference",
            "spread": float(np.std(exact["scores"])),
            **max((pair["same"] for pair in pairs), key=lambda same: same["largest_difference"]),
            "in_fp32": same_scores(exact, pairs[-1]["score-guide"]),
        },
        memory("train"),
        memory("score"),
        {
            "what": "share of the device's bf16 matrix rate in training, without padding",
            "ours": used / rate["operations_per_second"],
            "operations_per_second": rate["operations_per_second"],
            "device": rate["device"],
        },
        mse,
        *({"pair": n, "train": pair["train"], "score": pair["score"]} for n, pair in enumerate(pairs)),
    ]
    return {
        "name": "reward_speed",
        "ours": middle("train-ours"),
        "peer": middle("train-guide"),
        "ratio": median(ratios["train"]),
        "unit": "distinct training texts per second",
        "value": median(ratios["train"]),
        "interval": [min(ratios["train"]), max(ratios["train"])],
        "seeds": [SEED],
        "rows": rows,
    }


if __name__ == "__main__":
    main()
