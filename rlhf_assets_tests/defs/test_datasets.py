"""reward_dataset as an artifact: what its card says, leaks planted on its way, and the same week built later."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback import split
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.propensity import inverse_propensity
from rlhf_assets.feedback.settings import CleaningSettings, SplitSettings
from rlhf_assets.feedback.split import NEWEST, SIDES, Dataset, build_dataset
from rlhf_assets.feedback.weeks import bounds, earlier, last_closed_week, weeks_between
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.defs.by_hand import WEEK, materialize
from rlhf_assets_tests.defs.feedback import write_feedback
from rlhf_assets_tests.defs.world import freshly_loaded
from rlhf_assets_tests.feedback.test_split import many_votes, question, said
from rlhf_assets_tests.feedback.votes import frame, vote

ALL = [f"{voters}{side}" for voters in ("", "judge_") for side in SIDES]
FORM = {"near_duplicate": 0.5, "judge_share": 0.4}  # so that the made-up words have conflicts and judges


def clean_rows() -> pd.DataFrame:
    """Clean votes of the two last weeks on every side, with some new questions in the last one."""
    rows = many_votes(0, 300)
    to_last_week = bounds(WEEK)[0] + (rows["created_at"] - rows["created_at"].min()) / 10
    rows = rows.assign(created_at=to_last_week - pd.Timedelta(days=4))
    new = [vote(1000 + i, at=bounds(WEEK)[1] - pd.Timedelta(hours=i + 1), query=question("train", avoid=f"n{i}n"))
           for i in range(9)]  # fmt: skip
    fresh = clean_week(frame(*new), frame(), CleaningSettings()).clean
    last = rows["created_at"] >= bounds(WEEK)[0]
    both = pd.concat([rows.assign(week=[WEEK if is_last else earlier(WEEK, 1) for is_last in last]), fresh])
    return both.sort_values("created_at", ignore_index=True)


def lay_clean(store: ArtifactStore, rows: pd.DataFrame) -> None:
    for week in (earlier(WEEK, 1), WEEK):
        with store.draft("clean_feedback", week, f"clean of {week}") as draft:
            rows[rows["week"] == week].reset_index(drop=True).to_parquet(draft.folder / "rows.parquet")
            draft.commit(code_version=f"rules of {week}")


@pytest.fixture
def cleaned(store: ArtifactStore) -> Iterator[ArtifactStore]:
    lay_clean(store, clean_rows())
    with freshly_loaded({"RLHF_FIRST_WEEK": earlier(WEEK, 1)}):
        yield store


def appended(dataset: Dataset, name: str, source: str, **changes: object) -> Dataset:
    """With a row more in the frame `name`: the first one of the frame `source`, changed."""
    row = getattr(dataset, source).iloc[[0]].assign(**changes)
    return dataclasses.replace(dataset, **{name: pd.concat([getattr(dataset, name), row], ignore_index=True)})


OWN = {"vote_id": "planted", "cluster": "planted", "chat_id": "planted", "context": "[]", "query": "nine eight seven"}


def first(dataset: Dataset, column: str, name: str = "test") -> str:
    return getattr(dataset, name)[column].iloc[0]


LEAKS: dict[str, tuple[Callable[[Dataset], Dataset], str]] = {
    "query": (
        lambda d: appended(d, "train", "train", **OWN | {"query": first(d, "query").upper()}),
        "train and test share queries: 1",
    ),
    "earlier turn": (
        lambda d: appended(d, "validation", "validation", **OWN | {"context": said(first(d, "query"))}),
        "validation and test share queries: 1",
    ),
    "near duplicate": (
        lambda d: appended(
            appended(d, "test", "test", **OWN | {"query": "one two three four five six"}),
            "judge_train", "judge_train",
            **OWN | {"query": "one two three four five six seven", "cluster": "other", "chat_id": "other"},
        ),
        "train and test share near-duplicate queries: 1",
    ),
    "cluster": (
        lambda d: appended(d, "train", "train", **OWN | {"cluster": first(d, "cluster", "validation")}),
        "train and validation share clusters: 1",
    ),
    "conversation": (
        lambda d: appended(d, "judge_train", "judge_train", **OWN | {"chat_id": first(d, "chat_id")}),
        "train and test share conversations: 1",
    ),
    "person": (
        lambda d: appended(d, "train", "train", **OWN | {"user_id": first(d, "user_id", "judge_test")}),
        "the judge's users and the others share people: 1",
    ),
    "newest question": (
        lambda d: appended(
            d, "judge_train", "judge_train",
            **OWN | {"cluster": first(d, "cluster", "newest"), "week": earlier(WEEK, 1)},
        ),
        "the weeks before and newest share clusters: 1",
    ),
    "newest vote": (lambda d: appended(d, "newest", "newest", **OWN), "newest holds votes that are not in train: 1"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LEAKS)
def test_a_planted_leak_fails_the_blocking_check_and_is_never_loaded(
    cleaned: ArtifactStore, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from rlhf_assets.defs.datasets.reward_dataset import load_dataset, reward_dataset

    plant, said_of_it = LEAKS[kind]
    monkeypatch.setattr(split, "build_dataset", lambda *given: plant(build_dataset(*given)))
    result = materialize(reward_dataset, cleaned, **FORM)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.severity) == ("split_overlap", False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["leaks"].value == said_of_it
    (leaking,) = cleaned.of_week("reward_dataset", WEEK)
    assert (leaking.card.status, leaking.card.reasons) == ("rejected", [said_of_it])
    assert cleaned.newest("reward_dataset", WEEK) is None
    with pytest.raises(RlhfError, match=said_of_it):
        load_dataset(leaking)


def test_a_loaded_dataset_is_what_was_built(cleaned: ArtifactStore) -> None:
    from rlhf_assets.defs.datasets.reward_dataset import load_dataset, reward_dataset

    assert materialize(reward_dataset, cleaned, **FORM).success
    (made,) = cleaned.of_week("reward_dataset", WEEK)
    rows = clean_rows().assign(inverse_propensity=1.0)  # nothing is known of what was not rated
    built, loaded = build_dataset(rows, SplitSettings(**FORM), WEEK), load_dataset(made)
    for name in (*ALL, *NEWEST, "conflicts"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(built, name))
        assert made.card.counts[name] == len(getattr(built, name)) > 0
    assert (loaded.week, loaded.superseded) == (WEEK, built.superseded)


def test_votes_say_how_seldom_their_like_are_rated(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection
) -> None:
    """By the counts of all weeks up to then, as each extraction found them."""
    write_feedback(admin, dict.fromkeys(WEEKS[:2], 60))
    admin.execute("update users set segment = 'worker'")
    [(silent,)] = admin.execute("insert into users (segment) values ('student') returning id").fetchall()
    [(chat,)] = admin.execute("insert into chats (user_id) values (%s) returning id", [silent]).fetchall()
    later = bounds(WEEKS[1])[0] + pd.Timedelta(hours=1)
    admin.execute(
        "insert into messages (chat_id, role, content, created_at) "
        "select %s, 'assistant', 'x', %s from generate_series(1, 30)",
        [chat, later],
    )
    run(instance, FEEDBACK, WEEKS[:2])
    run(instance, ["reward_dataset"], [WEEKS[0]])
    run(instance, ["reward_dataset"], [WEEKS[1]])
    cells = pd.concat(
        store.require(asset, week).frame("coverage.parquet") for asset in FEEDBACK[:2] for week in WEEKS[:2]
    )
    assert cells.groupby("kind")["served"].sum().to_dict() == {"message": 150, "step": 120}
    assert cells["rated"].sum() == 120
    for weeks in (WEEKS[:1], WEEKS[:2]):
        known = pd.concat(
            store.require(asset, week).frame("coverage.parquet") for asset in FEEDBACK[:2] for week in weeks
        )
        votes = store.require("reward_dataset", weeks[-1]).frame("train.parquet")
        assert votes["inverse_propensity"].tolist() == inverse_propensity(votes, known).tolist()
        assert votes["inverse_propensity"].nunique() > 1


def test_a_dataset_of_an_earlier_version_says_so(store: ArtifactStore) -> None:
    from rlhf_assets.defs.datasets.reward_dataset import load_dataset

    with store.draft("reward_dataset", WEEK, "run-1") as draft:
        old = draft.commit(counts={"superseded": 0})
    with pytest.raises(RlhfError, match="earlier version of this project; make reward_dataset anew"):
        load_dataset(old)


FIRST = earlier(last_closed_week(), 4)
WEEKS = weeks_between(FIRST, last_closed_week())
FEEDBACK = ["raw_message_feedback", "raw_step_feedback", "clean_feedback", "quarantined_feedback"]


@pytest.fixture
def instance(settings: None, store: ArtifactStore) -> Iterator[dg.DagsterInstance]:
    values = {"RLHF_ARTIFACTS": str(store.root), "RLHF_FIRST_WEEK": FIRST}
    with freshly_loaded(values), dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: dg.DagsterInstance, assets: list[str], weeks: list[str]) -> None:
    from rlhf_assets.defs.automation.launch import materialize_weeks

    assert materialize_weeks(instance, assets, weeks)


TABLES = {**dict.fromkeys(FEEDBACK, "rows"), "reward_dataset": "train", "policy_prompts": "prompts"}


def test_the_ui_shows_the_columns_that_the_files_have(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection
) -> None:
    from rlhf_assets.definitions import defs

    write_feedback(admin, {WEEKS[0]: 60})
    run(instance, FEEDBACK, WEEKS[:1])
    run(instance, ["reward_dataset", "policy_prompts"], WEEKS[:1])
    metadata = {spec.key.to_user_string(): spec.metadata for spec in defs().resolve_all_asset_specs()}
    for asset, name in TABLES.items():
        shown = metadata[asset]["dagster/column_schema"].columns
        file = store.require(asset, FIRST).path(f"{name}.parquet")
        held = [(field.name, str(field.type).removeprefix("large_")) for field in pq.read_schema(str(file))]
        assert [(column.name, column.type) for column in shown] == held
        assert all(column.description for column in shown)
    assert {asset for asset, told in metadata.items() if "dagster/column_schema" in told} == TABLES.keys()


def test_a_week_built_later_equals_the_one_built_on_the_day(
    instance: dg.DagsterInstance, store: ArtifactStore, admin: psycopg.Connection
) -> None:
    """Where votes are appended; on what the app then changes in place, the card says what stood when."""
    on_the_day, day = WEEKS[:3], WEEKS[2]
    made = ["reward_dataset", "policy_prompts"]
    write_feedback(admin, dict.fromkeys(on_the_day, 60))
    run(instance, FEEDBACK, on_the_day)
    run(instance, made, [day])
    write_feedback(admin, dict.fromkeys(WEEKS[3:], 60), seed=1)
    run(instance, FEEDBACK, WEEKS)  # the old weeks anew, too
    run(instance, made, [day])
    for asset in made:
        then, now = (artifact.card for artifact in store.of_week(asset, day))
        assert then.run_id != now.run_id
        assert then.files == now.files
        assert then.content_hash == now.content_hash
    assert then.counts["prompts"] > 0

    then, now = (artifact.card.figures for artifact in store.of_week("reward_dataset", day))
    assert now["weeks"] == {"first": FIRST, "last": day, "number": 3}
    versions = {week: store.require("clean_feedback", week).card.code_version for week in on_the_day}
    assert now["rules"] == versions
    assert [(e["week"], e["asset"]) for e in now["extractions"]] == [
        (week, asset) for week in on_the_day for asset in FEEDBACK[:2]
    ]
    assert {e["extractions"] for e in then["extractions"]} == {1}
    for entry in now["extractions"]:
        first_one, used = store.of_week(entry["asset"], entry["week"])
        assert first_one.card.content_hash == used.card.content_hash == entry["content_hash"]
        assert (entry["run"], entry["rows"]) == (used.card.run_id, used.card.counts["rows"])
        assert pd.Timestamp(entry["extracted_at"]) == used.card.created_at
        assert entry["extractions"] == 2
        assert entry["since_first"] == {"added": 0, "removed": 0, "changed": 0}

    votes = store.require("raw_message_feedback", FIRST).frame("rows.parquet")["vote_id"]
    admin.execute("delete from chat_feedback where id = %s", [votes[0]])
    admin.execute("update chat_feedback set feedback = null, feedback_score = 3 where id = any(%s)", [list(votes[1:3])])
    run(instance, FEEDBACK, [FIRST])
    run(instance, ["reward_dataset"], [day])
    changed = store.require("reward_dataset", day).card
    assert changed.content_hash != store.of_week("reward_dataset", day)[0].card.content_hash
    messages, steps, *others = changed.figures["extractions"]
    assert (messages["extractions"], messages["rows"]) == (3, len(votes) - 1)
    removed_one = messages["since_first"]
    assert (removed_one["added"], removed_one["removed"]) == (0, 1)
    assert 1 <= removed_one["changed"] <= 2  # a vote that was a 3 before has not changed
    assert steps["since_first"] == {"added": 0, "removed": 0, "changed": 0}
    assert {entry["extractions"] for entry in others} == {2}
    assert changed.files.keys() == store.of_week("reward_dataset", day)[0].card.files.keys()
    assert all(Path(name).suffix in {".parquet", ".csv", ".arrow", ".json"} for name in changed.files)
