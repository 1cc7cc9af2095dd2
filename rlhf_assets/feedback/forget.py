"""A person's rows taken out of everything that was made from their votes: raw and clean feedback, quarantine, datasets,
prompts, test rows and sample answers, of every week and run.
"""

import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import psycopg

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback.dataset_files import write_dataset
from rlhf_assets.feedback.prompts import STATE, prompt_id
from rlhf_assets.feedback.read import week_fingerprint
from rlhf_assets.feedback.split import Dataset
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.erasure import note_figures, replace_files

RAW = {"raw_message_feedback": "message", "raw_step_feedback": "step"}
VOTES = (*RAW, "clean_feedback", "quarantined_feedback")  # one file each, `rows.parquet`
ROWS = "rows.parquet"
DATASET = "reward_dataset"
LEARNT = {  # the files that a model learns from
    "reward_model": {"train.parquet", "validation.parquet"},
    "judge_model": {"judge_train.parquet", "judge_validation.parquet"},
    "sft_policy": {"train.parquet"},
    "ppo_policy": {"prompts.parquet"},
}


@dataclass(frozen=True)
class Forgotten:
    """rows: how many were taken out, by asset. models: where the models lie that learned from them."""

    rows: dict[str, int]
    models: list[str]


def forget(store: ArtifactStore, connection: psycopg.Connection, user_id: str) -> Forgotten:
    """Put the person on the list that every extraction respects, then take their rows out of all artifacts.

    connection: of the owner of schema rlhf, in autocommit. May be stopped and called again at any point. Runs that are
    under way meanwhile may write such rows once more, which another call takes out.
    """
    traces = Traces.of(store, user_id)
    current = [raw for raw in newest_raw(store) if holds(raw, traces) and same_source(connection, raw)]
    connection.execute("insert into rlhf.forgotten (user_id) values (%s) on conflict do nothing", (user_id,))
    for raw in current:  # else the week would look as if the assistant had changed it
        note_figures(raw, {"source": asdict(week_fingerprint(connection, RAW[raw.card.asset], raw.card.week))})
    found: dict[str, Counter[str]] = {}  # by path, then file
    rows: Counter[str] = Counter()
    for artifact in [artifact for asset in store.assets() for artifact in store.all(asset)]:
        erased = found[artifact.relative_path] = erase(artifact, traces)
        rows[artifact.card.asset] += erased.total()
    return Forgotten({asset: n for asset, n in sorted(rows.items()) if n}, trained_with(store, found))


@dataclass(frozen=True)
class Traces:
    """By what a person's rows are known: their id, their votes, and the prompts that nobody else's votes are about."""

    user_id: str
    votes: frozenset[str]
    prompts: frozenset[str]

    @classmethod
    def of(cls, store: ArtifactStore, user_id: str) -> "Traces":
        votes: set[str] = set()
        theirs: set[tuple] = set()
        others: set[tuple] = set()
        for artifact in (artifact for asset in VOTES for artifact in store.all(asset)):
            frame = artifact.frame(ROWS)
            own = frame["user_id"] == user_id
            votes |= set(frame["vote_id"][own])
            theirs |= states(frame[own])
            others |= states(frame[~own])
        return cls(user_id, frozenset(votes), frozenset(prompt_id(*state) for state in theirs - others))

    def left_in(self, frame: pd.DataFrame) -> pd.Series:
        """Which rows are the person's."""
        found = pd.Series(False, index=frame.index)
        known = {"user_id": {self.user_id}, "vote_id": self.votes, "prompt_id": self.prompts}
        for column, values in known.items():
            if column in frame:
                found |= frame[column].isin(values)
        return found


def states(frame: pd.DataFrame) -> set[tuple]:
    asked = frame[STATE].dropna(subset="query").drop_duplicates()
    return set(asked.astype(object).where(asked.notna(), None).itertuples(index=False, name=None))


def newest_raw(store: ArtifactStore) -> list[Artifact]:
    return [raw for asset in RAW for week in store.weeks(asset) if (raw := store.newest(asset, week))]


def holds(artifact: Artifact, traces: Traces) -> bool:
    return bool(traces.left_in(artifact.frame(ROWS)).any())


def same_source(connection: psycopg.Connection, raw: Artifact) -> bool:
    """Whether the week's source is still what this extraction read."""
    source = raw.card.figures.get("source")
    return (
        source is not None
        and source["sha256"] == week_fingerprint(connection, RAW[raw.card.asset], raw.card.week).sha256
    )


def erase(artifact: Artifact, traces: Traces) -> Counter[str]:
    """Take the person's rows out of the artifact's files; how many stood in each, the copies in other formats aside."""
    tables = [name for name in artifact.card.files if name.endswith(".parquet") and "/" not in name]
    frames = {name: artifact.frame(name) for name in tables}
    theirs = {name: traces.left_in(frame) for name, frame in frames.items()}
    rows = Counter({name: int(found.sum()) for name, found in theirs.items()})
    if not rows.total():
        return rows
    kept = {name: frame[~theirs[name]].reset_index(drop=True) for name, frame in frames.items()}
    with tempfile.TemporaryDirectory() as folder:
        rewritten = Path(folder)
        if artifact.card.asset == DATASET and "newest.parquet" in tables:  # earlier versions had the tables alone
            sides = {name.removesuffix(".parquet"): frame for name, frame in kept.items()}
            dataset = Dataset(artifact.card.week, **sides, superseded=artifact.card.counts["superseded"])
            write_dataset(dataset, rewritten, artifact.card.settings["answers_per_state"])
        else:
            for name, frame in kept.items():
                frame.to_parquet(rewritten / name)
        names = {path.relative_to(rewritten).as_posix() for path in rewritten.rglob("*") if path.is_file()}
        # the tables last: while one of them holds a row, another call does all of it again
        replace_files(artifact, [*sorted(names - set(tables)), *tables], rewritten, rows.total())
    return rows


def trained_with(store: ArtifactStore, found: dict[str, Counter[str]]) -> list[str]:
    """Where the models lie that learned from these rows, themselves or through a model that they were made from."""
    learned: dict[str, bool] = {}

    def has_learned(asset: str, path: str) -> bool:
        if path not in learned:
            try:
                parents = store.open(path).card.parents
            except RlhfError:  # removed since
                parents = []
            learned[path] = any(
                any(found.get(parent.path, Counter())[name] for name in LEARNT[asset])
                or (parent.asset in LEARNT and has_learned(parent.asset, parent.path))
                for parent in parents
            )
        return learned[path]

    models = [model for asset in LEARNT for model in store.all(asset)]
    return [str(model.folder) for model in models if has_learned(model.card.asset, model.relative_path)]
