"""A dataset as files, in the formats that people read: Parquet, CSV, and Hugging Face `datasets` on disk.

    train.parquet, …            the votes by side; `newest`, `judge_newest` and `conflicts` too
    pairs/, thumbs/, steps/     the views on them: train.parquet, … in each
    csv/                        the votes: train.csv, …; exact, so no spreadsheet should open what strangers wrote
    huggingface/                votes/, pairs/, thumbs/, steps/: `datasets.load_from_disk` opens each as a DatasetDict

The same dataset gives the same bytes.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from rlhf_assets.feedback.split import Dataset
from rlhf_assets.feedback.views import pairs, steps, thumbs


def write_dataset(dataset: Dataset, folder: Path, answers_per_state: int) -> dict[str, dict[str, int]]:
    """Write all of it below `folder` and return the rows by view and side."""
    votes = {**dataset.sides(), **dataset.newest_questions()}
    views = {
        "pairs": {name: pairs(frame, answers_per_state) for name, frame in votes.items()},
        "thumbs": {name: thumbs(frame) for name, frame in votes.items()},
        "steps": {name: steps(frame) for name, frame in votes.items()},
    }
    write_parquet({**votes, "conflicts": dataset.conflicts}, folder)
    write_csv(votes, folder / "csv")
    write_huggingface(votes, folder / "huggingface" / "votes")
    for view, frames in views.items():
        write_parquet(frames, folder / view)
        write_huggingface(frames, folder / "huggingface" / view)
    return {view: {name: len(frame) for name, frame in frames.items()} for view, frames in views.items()}


def write_parquet(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")


def write_csv(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """A text stands in quotes, so that it may hold anything and an empty one is not a missing one."""
    folder.mkdir(parents=True)
    for name, frame in frames.items():
        csv.write_csv(table(frame), folder / f"{name}.csv")


def write_huggingface(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """A DatasetDict with a split for each frame."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        splits = {
            name: datasets.Dataset(table(frame), fingerprint=fingerprint(frame)) for name, frame in frames.items()
        }
        datasets.DatasetDict(splits).save_to_disk(folder, num_shards=dict.fromkeys(splits, 1))  # an empty split: none
    finally:
        if shown:
            datasets.enable_progress_bars()


def table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def fingerprint(frame: pd.DataFrame) -> str:
    """Of the rows alone: the library's own would tell how they came about."""
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256("\n".join(frame.columns).encode() + rows.tobytes()).hexdigest()[:16]
