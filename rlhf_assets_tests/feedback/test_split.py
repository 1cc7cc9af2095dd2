"""Sides are fixed for ever and share nothing."""

import hashlib
import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.leaks import leaks
from rlhf_assets.feedback.settings import SplitSettings
from rlhf_assets.feedback.split import (
    NEWEST,
    SIDES,
    Dataset,
    build_dataset,
    chat_sides,
    is_judge,
    latest_votes,
    share_of,
    side_of,
)
from rlhf_assets.feedback.weeks import earlier
from rlhf_assets_tests.feedback.votes import START, WEEK, clean_frame, identity, step_vote, vote

SETTINGS = SplitSettings()


def question(side: str, length: int = 9, avoid: str = "") -> str:
    """A question of made-up words whose hash lies on this side."""
    for number in range(1000):
        text = " ".join(f"{avoid}{side}{number}w{i}" for i in range(length))
        if side_of(text, SETTINGS) == side:
            return text
    raise AssertionError(side)


def said(*questions: str) -> str:
    """The context of a chat in which these were asked and answered."""
    roles = ("user", "assistant")
    return json.dumps([{"role": role, "content": f"{text}"} for text in questions for role in roles])


def votes_by_side(dataset: Dataset) -> dict[str, str]:
    """The frame in which each vote lies."""
    frames = {**dataset.sides(), "conflicts": dataset.conflicts}
    found = [(vote_id, name) for name, rows in frames.items() for vote_id in rows["vote_id"]]
    assert len(dict(found)) == len(found)  # no vote in two frames
    return dict(found)


def test_a_share_is_a_hash_of_salt_and_text() -> None:
    digest = hashlib.sha256(b"salt\ntext").hexdigest()
    assert share_of("text", "salt") == int(digest[:16], 16) / 16**16
    assert 0 <= share_of("text", "salt") < 1
    assert share_of("text", "salt") != share_of("text", "pepper")


def test_sides_have_the_shares_they_were_given() -> None:
    sides = pd.Series([side_of(f"text {i}", SETTINGS) for i in range(20_000)]).value_counts(normalize=True)
    assert sides.to_dict() == pytest.approx({"train": 0.7, "test": 0.2, "validation": 0.1}, abs=0.01)
    judges = np.mean([is_judge(f"user {i}", SETTINGS) for i in range(20_000)])
    assert judges == pytest.approx(0.2, abs=0.01)
    assert not is_judge(None, SplitSettings(judge_share=0.999))
    place = share_of("text", SETTINGS.salt)
    assert side_of("text", SplitSettings(test_share=place, validation_share=0)) == "train"  # the border is half open
    assert side_of("text", SplitSettings(test_share=place + 1e-9, validation_share=0)) == "test"


def test_a_near_duplicate_joins_the_side_that_was_there_first() -> None:
    founder = question("test")
    other = next(t for i in range(100) if side_of(t := f"{founder} again{i}", SETTINGS) == "train")
    rows = clean_frame(vote(0, query=founder), vote(1, query=other), vote(2, query=other.upper() + "  ?"))
    sides = chat_sides(rows, SETTINGS)
    assert set(sides["side"]) == {"test"}
    assert sides["cluster"].nunique() == 1
    # The other way round, the other one founds.
    swapped = clean_frame(vote(0, query=other), vote(1, query=founder))
    assert set(chat_sides(swapped, SETTINGS)["side"]) == {"train"}


def test_a_query_that_joins_two_sides_is_a_conflict_and_attracts_nobody() -> None:
    first, second = question("train"), question("test")
    settings = SplitSettings(near_duplicate=0.4)
    bridge = f"{first} {second}"
    like_bridge = f"{bridge} {' '.join(f'new{i}' for i in range(20))}"  # near the bridge, not near its two ends
    rows = clean_frame(*(vote(i, query=query) for i, query in enumerate((first, second, bridge, like_bridge, bridge))))
    dataset = build_dataset(rows, settings, WEEK)
    sides = votes_by_side(dataset)
    assert [sides[identity(f"vote {i}")].removeprefix("judge_") for i in (0, 1, 2, 4)] == [
        "train", "test", "conflicts", "conflicts",
    ]  # fmt: skip
    clusters = pd.concat(dataset.sides().values()).set_index("vote_id")["cluster"]
    assert clusters.is_unique
    assert set(clusters.index) == {identity(f"vote {i}") for i in (0, 1, 3)}
    assert set(dataset.conflicts["reason"]) == {"split_conflict"}
    assert dataset.conflicts[["cluster", "side"]].isna().all(axis=None)


def test_a_bridge_between_two_clusters_of_one_side_is_no_conflict() -> None:
    first, second = question("train"), question("train", avoid="x")
    rows = clean_frame(*(vote(i, query=query) for i, query in enumerate((first, second, f"{first} {second}"))))
    sides = chat_sides(rows, SplitSettings(near_duplicate=0.4))
    assert sides["side"].tolist() == ["train"] * 3
    assert sides["cluster"].iloc[2] == sides["cluster"].iloc[0] != sides["cluster"].iloc[1]


def test_all_that_was_asked_in_a_chat_lies_on_the_side_of_its_first_question() -> None:
    test, train, follow_up = question("test"), question("train"), question("train", avoid="f")
    chats = [
        (test, "[]", "test"),
        (follow_up, said(test), "test"),  # by its own text it would train
        (follow_up, "[]", "test"),  # claimed for ever
        (train, "[]", "train"),
        (follow_up, said(train), "conflicts"),
        (test.upper(), said(train), "conflicts"),
        ("never heard before", said(train, test), "conflicts"),
        (train, said(train), "train"),
        (follow_up, said(test, "and then?"), "test"),
    ]
    rows = clean_frame(*(vote(i, query=query, context=context) for i, (query, context, _) in enumerate(chats)))
    for known in range(1, len(chats) + 1):  # whatever comes later
        dataset = build_dataset(rows[:known].sample(frac=1, random_state=0), SETTINGS, WEEK)
        sides = votes_by_side(dataset)
        found = [sides[vote_id].removeprefix("judge_") for vote_id in rows["vote_id"][:known]]
        assert found == [side for *_, side in chats[:known]]
        assert leaks(dataset, SETTINGS) == []


def test_a_conversation_is_on_one_side_whatever_its_context_says() -> None:
    """An assistant may lose a chat's earlier turns, or let people edit them."""
    test, train = question("test"), question("train")
    alone, other = question("train", avoid="a"), question("train", avoid="o")
    talk = {"chat_id": identity("a talk")}
    rows = clean_frame(
        vote(0, query=test, **talk),
        vote(1, query=alone, **talk),  # by its own text it would train
        vote(2, query=train),
        vote(3, query=train, **talk),  # would bridge the two sides
        vote(4, query=train),  # and changes nothing for the others
        vote(5, query=alone),  # claimed by the conversation
        vote(6, query=test, chat_id=identity("a test talk")),
        vote(7, query=test, chat_id=None),
        vote(8, query=other, chat_id=None),  # two votes without a chat are not of one conversation
        vote(9, query=other, context=said(train), **talk),  # train by its words, which attract nobody
        vote(10, query=other),
    )
    sides = ["test", "test", "train", "conflicts", "train", "test", "test", "test", "train", "conflicts", "train"]
    for known in range(1, len(rows) + 1):
        dataset = build_dataset(rows[:known].sample(frac=1, random_state=0), SETTINGS, WEEK)
        found = votes_by_side(dataset)
        assert [found[vote_id].removeprefix("judge_") for vote_id in rows["vote_id"][:known]] == sides[:known]
        assert leaks(dataset, SETTINGS) == []


def test_newest_is_what_this_week_trains_on_and_nobody_knew_before() -> None:
    before = START - timedelta(days=1)
    plain = SplitSettings(judge_share=0)
    old, new, follow_up = question("train"), question("train", avoid="n"), question("train", avoid="f")
    fresh = question("train", avoid="x")
    talk = {"chat_id": identity("a talk")}
    rows = clean_frame(
        vote(0, at=before, query=old, **talk),
        vote(1, at=before, query=question("test")),
        vote(2, query=old.upper()),
        vote(3, query=new),
        vote(4, query=f"{new} !"),
        vote(5, query=follow_up, context=said(old)),
        vote(6, query=fresh, **talk),  # in a conversation that last week's model may know
        vote(7, query=question("test", avoid="t")),
        vote(8, query=new, context=said(new, old)),
        vote(9, query=new, **talk),
    )
    dataset = build_dataset(rows, plain, WEEK)
    assert set(dataset.newest["vote_id"]) == {identity("vote 3"), identity("vote 4")}
    assert set(dataset.newest["vote_id"]) < set(dataset.train["vote_id"])
    assert build_dataset(rows, plain, earlier(WEEK, -1)).newest.empty  # a week later nobody asked anything
    assert build_dataset(rows[:2], plain, earlier(WEEK, 1)).newest["vote_id"].tolist() == [identity("vote 0")]
    judges = SplitSettings(judge_share=0.999999)
    held_out = build_dataset(rows, judges, WEEK)
    assert held_out.newest.empty
    assert set(held_out.judge_newest["vote_id"]) == {identity("vote 3"), identity("vote 4")}
    assert dataset.judge_newest.empty


def test_the_latest_vote_of_a_person_on_a_target_counts() -> None:
    ann, bob = {"user_id": identity("ann")}, {"user_id": identity("bob")}
    answer, other = {"message_id": identity("answer")}, {"message_id": identity("other")}
    step = {"message_id": identity("answer"), "step_id": identity("a step")}
    rows = clean_frame(
        vote(0, **ann, **answer),
        vote(1, **ann, **answer, feedback="negative"),
        vote(2, **ann, **other),
        vote(3, **bob, **answer),
        step_vote(4, **ann, **step),
        step_vote(5, **ann, **step, feedback="negative"),
        step_vote(6, **ann, **step | {"step_id": identity("another step")}),
        vote(7, **answer | {"user_id": None}),
        vote(8, **answer | {"user_id": None}),
    )
    kept = latest_votes(rows.sample(frac=1, random_state=1))
    assert kept["vote_id"].tolist() == [identity(f"vote {i}") for i in (1, 2, 3, 5, 6, 7, 8)]
    assert build_dataset(rows, SETTINGS, WEEK).superseded == 2


def many_votes(seed: int, number: int) -> pd.DataFrame:
    """Votes over ten weeks on few questions, many of them nearly alike, by few people who change their minds."""
    draw = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(12)]
    queries = [" ".join(draw.choice(words, draw.integers(1, 7))) for _ in range(number // 4)]
    rows = []
    for i in range(number):
        rows.append(
            vote(
                i,
                at=START - timedelta(minutes=int(draw.integers(1, 10 * 7 * 24 * 60))),
                user_id=identity(f"person {draw.integers(20)}"),
                chat_id=identity(f"chat {draw.integers(number)}"),
                query=queries[draw.integers(len(queries))],
                context=said(*draw.choice(queries, draw.integers(3) // 2)),
                message_id=identity(draw.integers(40)),
                feedback=None,
                feedback_score=int(draw.integers(1, 6)),
            )
        )
    votes = pd.DataFrame(rows).sort_values("created_at")
    repeats = votes.groupby(["user_id", "message_id"])["feedback_score"].shift() == votes["feedback_score"]
    return clean_frame(*votes[~repeats].to_dict("records"))


@pytest.mark.parametrize("seed", range(3))
def test_a_dataset_keeps_its_sides_when_weeks_are_added(seed: int) -> None:
    clean = many_votes(seed, 300)
    weeks = sorted(clean["week"].unique())
    settings = SplitSettings(near_duplicate=0.5, judge_share=0.4, validation_share=0.2)
    before: dict[str, str] = {}
    clusters: dict[str, str] = {}
    conflicts = newest = 0
    for week in weeks:
        known = clean[clean["week"] <= week]
        dataset = build_dataset(known.sample(frac=1, random_state=seed), settings, week)
        now = votes_by_side(dataset)
        assert len(now) + dataset.superseded == len(known)
        assert {vote_id: now[vote_id] for vote_id in before if vote_id in now} == {
            vote_id: side for vote_id, side in before.items() if vote_id in now
        }
        named = pd.concat(dataset.sides().values()).set_index("vote_id")["cluster"].to_dict()
        assert all(clusters.get(vote_id, cluster) == cluster for vote_id, cluster in named.items())
        placed = pd.concat(dataset.sides().values())
        assert placed.groupby("chat_id")["side"].nunique().max() == 1
        before, clusters, conflicts = before | now, clusters | named, len(dataset.conflicts)
        newest += len(dataset.newest)
        assert leaks(dataset, settings) == []
    assert conflicts
    assert newest
    assert len(set(before.values())) == 7  # all frames were in play


def test_frames_hold_what_their_name_says() -> None:
    dataset = build_dataset(many_votes(0, 300), SETTINGS, WEEK)
    for name, rows in dataset.sides().items():
        assert set(rows["side"]) == {name.removeprefix("judge_")}
        assert rows["user_id"].map(lambda user, name=name: is_judge(user, SETTINGS) == name.startswith("judge_")).all()
        assert rows["created_at"].is_monotonic_increasing


def test_no_votes_make_an_empty_dataset_of_the_same_shape() -> None:
    empty, full = build_dataset(clean_frame(), SETTINGS, WEEK), build_dataset(many_votes(0, 100), SETTINGS, WEEK)
    for name in (*full.sides(), *NEWEST, "conflicts"):
        assert getattr(empty, name).empty
        pd.testing.assert_series_equal(getattr(empty, name).dtypes, getattr(full, name).dtypes)
    assert empty.superseded == 0
    assert leaks(empty, SETTINGS) == []
    assert list(empty.sides()) == [*SIDES, *(f"judge_{side}" for side in SIDES)]
