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

    connection: of the owner of schema rlhf, in autocommit. The list keeps by what the rows are known (ids, hashes, no
    text) and which models learned from them, so it may be stopped and called again at any point. Runs that are under
    way meanwhile may write such rows once more, which another call takes out. Raises RlhfError for an id that nobody
    has.
    """
    user_id = user_id.strip().lower()  # as PostgreSQL writes a uuid
    traces, models = Traces.of(store, connection, user_id)
    artifacts = [artifact for asset in store.assets() for artifact in store.all(asset)]
    found = {artifact.relative_path: rows_in(artifact, traces) for artifact in artifacts}
    models = sorted({*models, *trained_with(store, found)})
    current = [raw for raw in newest_raw(store) if found[raw.relative_path].total() and same_source(connection, raw)]
    note(connection, traces, models)
    for raw in current:  # else the week would look as if the assistant had changed it
        note_figures(raw, {"source": asdict(week_fingerprint(connection, RAW[raw.card.asset], raw.card.week))})
    rows: Counter[str] = Counter()
    for artifact in artifacts:
        if number := found[artifact.relative_path].total():
            erase(store.open(artifact.relative_path), traces, number)
            rows[artifact.card.asset] += number
    store.remove_leftovers()
    return Forgotten(dict(sorted(rows.items())), models)


@dataclass(frozen=True)
class Traces:
    """By what a person's rows are known: their id, their votes, and the prompts that nobody else's votes are about."""

    user_id: str
    votes: frozenset[str]
    prompts: frozenset[str]
    asked: frozenset[str]  # all their prompts, also those that others have too

    @classmethod
    def of(cls, store: ArtifactStore, connection: psycopg.Connection, user_id: str) -> tuple["Traces", list[str]]:
        """From the artifacts and from what the list knows of an earlier call; the models it knows, too."""
        known = connection.execute(
            "select votes, prompts, models from rlhf.forgotten where user_id = %s", (user_id,)
        ).fetchone()
        votes, asked, models = (set(values) for values in known or ([], [], []))
        others: set[str] = set()
        for artifact in (artifact for asset in VOTES for artifact in store.all(asset)):
            frame = artifact.frame(ROWS)
            own = frame["user_id"] == user_id
            votes |= set(frame["vote_id"][own])
            asked |= prompts_of(frame[own])
            others |= prompts_of(frame[~own])
        here = connection.execute("select from public.users where id::text = %s", (user_id,)).fetchone()
        if known is None and here is None and not votes:
            raise RlhfError(f"nobody has the id {user_id}, neither in users nor in any artifact; look it up in users")
        return cls(user_id, frozenset(votes), frozenset(asked - others), frozenset(asked)), sorted(models)

    def left_in(self, frame: pd.DataFrame) -> pd.Series:
        """Which rows are the person's."""
        found = pd.Series(False, index=frame.index)
        known = {"user_id": {self.user_id}, "vote_id": self.votes, "prompt_id": self.prompts}
        for column, values in known.items():
            if column in frame:
                found |= frame[column].isin(values)
        return found


def prompts_of(frame: pd.DataFrame) -> set[str]:
    asked = frame[STATE].dropna(subset="query").drop_duplicates()
    states = asked.astype(object).where(asked.notna(), None)
    return {prompt_id(*state) for state in states.itertuples(index=False, name=None)}


def note(connection: psycopg.Connection, traces: Traces, models: list[str]) -> None:
    connection.execute(
        "insert into rlhf.forgotten (user_id, votes, prompts, models) values (%s, %s, %s, %s) on conflict (user_id) "
        "do update set votes = excluded.votes, prompts = excluded.prompts, models = excluded.models",
        (traces.user_id, sorted(traces.votes), sorted(traces.asked), models),
    )


def newest_raw(store: ArtifactStore) -> list[Artifact]:
    return [raw for asset in RAW for week in store.weeks(asset) if (raw := store.newest(asset, week))]


def same_source(connection: psycopg.Connection, raw: Artifact) -> bool:
    """Whether the week's source is still what this extraction read."""
    source = raw.card.figures.get("source")
    return (
        source is not None
        and source["sha256"] == week_fingerprint(connection, RAW[raw.card.asset], raw.card.week).sha256
    )


def tables_of(artifact: Artifact) -> list[str]:
    """The Parquet files that all others are copies of."""
    return [name for name in artifact.card.files if name.endswith(".parquet") and "/" not in name]


def rows_in(artifact: Artifact, traces: Traces) -> Counter[str]:
    """How many rows of the person each file holds, the copies in other formats aside."""
    return Counter({name: int(traces.left_in(artifact.frame(name)).sum()) for name in tables_of(artifact)})


def erase(artifact: Artifact, traces: Traces, rows: int) -> None:
    """Take the person's rows, so many, out of all files of the artifact."""
    tables = tables_of(artifact)
    frames = {name: artifact.frame(name) for name in tables}
    kept = {name: frame[~traces.left_in(frame)].reset_index(drop=True) for name, frame in frames.items()}
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
        replace_files(artifact, [*sorted(names - set(tables)), *tables], rewritten, rows)


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
