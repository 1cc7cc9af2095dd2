"""What is written can be read back exactly, in each format, and is the same bytes each time."""

import csv
import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rlhf_assets.feedback.dataset_files import write_dataset, write_huggingface
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import Dataset, build_dataset
from rlhf_assets.feedback.views import pairs, steps, thumbs
from rlhf_assets.storage.artifacts import ArtifactStore, file_sha256
from rlhf_assets_tests.feedback.test_split import many_votes
from rlhf_assets_tests.feedback.votes import WEEK, clean_frame, step_vote, vote

NASTY = [
    'Quotes "inside", commas, and a line\nbreak',
    "carriage\r\nreturn, a lone \r and\ttabs ",
    "control \x01\x02\x1b[31m characters \x7f\x85\u2028",
    '=HYPERLINK("http://example.org","click")',
    "'; drop table users; -- <script>alert(1)</script> ![](http://example.org/x.png)",
    "من اليمين إلى اليسار \u202e and 🙏🏽 👩‍👩‍👧 é",
    '""', "\\N and \\n and NULL, NaN and None", "x" * 1_000_000,
]  # fmt: skip
SETTINGS = SplitSettings(judge_share=0, test_share=0, validation_share=0)


def nasty_dataset() -> Dataset:
    rows = [vote(i, query=f"{text} query", response=f"an answer: {text}") for i, text in enumerate(NASTY)]
    several = [vote(20 + i, query="Which one?", response=f"an answer: {text}", feedback=thumb)
               for i, (text, thumb) in enumerate(zip(NASTY, ["positive", "negative"] * 9, strict=False))]  # fmt: skip
    other = [vote(40, system_prompt=""), vote(41, user_id=None, segment=None), step_vote(42, response=NASTY[0])]
    every = [*rows, *several, *other]
    clean = clean_frame(
        *(row | {"query": f"query {i}", "response": f"a plain answer {i}"} for i, row in enumerate(every))
    )
    written = pd.DataFrame(every).set_index("vote_id")  # cleaning would refuse some of it
    texts = {name: clean["vote_id"].map(written[name]).astype("str") for name in ("query", "response")}
    return build_dataset(clean.assign(**texts), SETTINGS, WEEK)


def texts(rows: pd.DataFrame) -> list[tuple[object, ...]]:
    """The text columns of each row; None where there is nothing."""
    columns = rows.select_dtypes("str")
    return [tuple(None if pd.isna(value) else value for value in row) for row in columns.itertuples(index=False)]


def test_every_format_gives_back_what_was_written(tmp_path: Path) -> None:
    import datasets

    dataset = nasty_dataset()
    votes = {**dataset.sides(), **dataset.newest_questions()}
    counted = write_dataset(dataset, tmp_path, 16)
    views = {"pairs": lambda rows: pairs(rows, 16), "thumbs": thumbs, "steps": steps}
    assert counted == {view: {name: len(make(rows)) for name, rows in votes.items()} for view, make in views.items()}
    assert all(counted[view]["train"] for view in views)
    for name, rows in {**votes, "conflicts": dataset.conflicts}.items():
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), rows)
    for view, make in views.items():
        opened = datasets.load_from_disk(tmp_path / "huggingface" / view, keep_in_memory=True)
        assert list(opened) == list(votes)
        for name, rows in votes.items():
            pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / view / f"{name}.parquet"), make(rows))
            assert opened[name].column_names == list(make(rows).columns)
            assert texts(opened[name].to_pandas().astype(make(rows).dtypes)) == texts(make(rows))
    opened = datasets.load_from_disk(tmp_path / "huggingface" / "votes", keep_in_memory=True)
    for name, rows in votes.items():
        pd.testing.assert_frame_equal(opened[name].to_pandas().astype(rows.dtypes), rows)


def test_csv_holds_any_text(tmp_path: Path) -> None:
    """Read by Python's own reader and by pandas; both take it as it is."""
    csv.field_size_limit(2**30)
    dataset = nasty_dataset()
    write_dataset(dataset, tmp_path, 16)
    for name, rows in {**dataset.sides(), **dataset.newest_questions()}.items():
        path = tmp_path / "csv" / f"{name}.csv"
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
        assert header == list(rows.columns)
        by_pandas = pd.read_csv(path, dtype="str", keep_default_na=False)
        for column in rows.select_dtypes("str"):
            expected = rows[column].fillna("").tolist()
            assert [line[header.index(column)] for line in lines] == expected
            assert by_pandas[column].tolist() == expected
        assert [float(line[header.index("score")]) for line in lines] == rows["score"].tolist()
        moments = pd.to_datetime([line[header.index("created_at")] for line in lines], utc=True)
        assert moments.tolist() == rows["created_at"].tolist()
    first = (tmp_path / "csv" / "train.csv").read_text().splitlines()[1:]
    assert any(',"",' in line for line in first), "an empty system prompt is not a missing one"
    assert any(",," in line for line in first)


def digest(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_two_builds_give_the_same_bytes_in_any_order_and_process(tmp_path: Path) -> None:
    clean = many_votes(0, 300)
    settings = SplitSettings(near_duplicate=0.5, judge_share=0.4)
    last = clean["week"].max()
    write_dataset(build_dataset(clean, settings, last), tmp_path / "a", 16)
    shuffled = clean.sample(frac=1, random_state=1, ignore_index=True)
    shuffled.to_parquet(tmp_path / "clean.parquet")
    code = (
        "import sys, pandas as pd; from pathlib import Path\n"
        "from rlhf_assets.feedback.dataset_files import write_dataset\n"
        "from rlhf_assets.feedback.settings import SplitSettings\n"
        "from rlhf_assets.feedback.split import build_dataset\n"
        f"settings = SplitSettings(**{settings.model_dump()})\n"
        f"clean = pd.read_parquet({str(tmp_path / 'clean.parquet')!r})\n"
        f"write_dataset(build_dataset(clean, settings, {last!r}), Path({str(tmp_path / 'b')!r}), 16)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)  # noqa: S603
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert list(home.iterdir()) == [], "nothing is written elsewhere, in a cache of a library"
    suffixes = {Path(name).suffix for name in digest(tmp_path / "a")}
    assert suffixes == {".parquet", ".csv", ".arrow", ".json"}, "no pickle"


def test_other_rows_have_another_fingerprint(tmp_path: Path) -> None:
    """By it, `datasets` decides whether what it keeps in its cache still holds."""
    import datasets

    rows = clean_frame(vote(0), vote(1))
    for name, frame in {"a": rows, "b": rows.assign(score=0.5), "c": rows.rename(columns={"score": "s"})}.items():
        write_huggingface({"train": frame}, tmp_path / name)
    made = {datasets.load_from_disk(tmp_path / name)["train"]._fingerprint for name in "abc"}
    assert len(made) == 3


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store, dataset = ArtifactStore(str(tmp_path / "artifacts")), nasty_dataset()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the Parquet of a megabyte of one letter is small; the CSV and the Arrow files are not
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with store.draft("reward_dataset", WEEK, "run-1") as draft, pytest.raises(OSError, match="File too large"):
            write_dataset(dataset, draft.folder, 16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.all("reward_dataset") == []
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.name != ".drafts"] == []
