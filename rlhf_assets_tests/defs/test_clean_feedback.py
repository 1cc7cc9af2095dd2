"""The cleaning asset on raw artifacts laid out by hand."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from rlhf_assets.feedback import clean
from rlhf_assets.feedback.rules import RULES, fingerprint
from rlhf_assets.feedback.weeks import bounds
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.defs.by_hand import WEEK, materialize, why_failed, with_frames
from rlhf_assets_tests.feedback.votes import frame, step_vote, vote
from rlhf_assets_tests.full_disk import disk_for

START = bounds(WEEK)[0]
ROWS = "rows.parquet"


@pytest.fixture
def raw(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    """A store with three votes of the only week there is: a good one, one of three letters, one on a step."""
    monkeypatch.setenv("RLHF_FIRST_WEEK", WEEK)
    messages = frame(at(0), at(1, response="Yes"))
    with_frames(store, "raw_message_feedback", {"rows": messages})
    steps = frame(step_vote(2, **dated(2), feedback=None))
    with_frames(store, "raw_step_feedback", {"rows": steps})
    return store


def dated(number: int) -> dict[str, Any]:
    moment = START + timedelta(hours=number)
    return {"created_at": moment, "message_created_at": moment}


def at(number: int, **changes: object) -> dict[str, object]:
    return vote(number, **dated(number), **changes)


def cleaned(store: ArtifactStore, **settings: Any) -> dg.ExecuteInProcessResult:
    from rlhf_assets.defs.clean_feedback.clean_feedback import clean_and_quarantined_feedback

    return materialize(clean_and_quarantined_feedback, store, **settings)


def failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    return [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(raw: ArtifactStore) -> None:
    with disk_for(1000):
        told = why_failed(cleaned(raw))
    assert told
    assert told.startswith("the disk is full")
    assert raw.all("clean_feedback") == []
    assert not any(Path(str(raw.root), ".drafts").iterdir())
    assert cleaned(raw).success


def test_a_refused_row_says_where_it_came_from_and_why(raw: ArtifactStore) -> None:
    assert cleaned(raw).success
    refused = raw.require("quarantined_feedback", WEEK).frame(ROWS).set_index("kind")
    for kind, asset in (("message", "raw_message_feedback"), ("step", "raw_step_feedback")):
        source = raw.open(refused.loc[kind, "source"])
        assert (source.card.asset, source.card.week) == (asset, WEEK)
        assert refused.loc[kind, "vote_id"] in set(source.frame(ROWS)["vote_id"])
    told = refused[["reason", "rule", "rule_version", "week"]].to_dict("index")
    assert told == {
        "message": {"reason": "too_short", "rule": "an answer too short to judge", "rule_version": 1, "week": WEEK},
        "step": {"reason": "no_rating", "rule": "neither thumb nor score", "rule_version": 1, "week": WEEK},
    }


def test_a_relaxed_rule_lets_the_row_back_in(raw: ArtifactStore) -> None:
    assert cleaned(raw).success
    before = raw.require("clean_feedback", WEEK)
    assert cleaned(raw, minimum_characters=3).success
    after = raw.newest("clean_feedback", WEEK, ("experiment",))  # other settings than the project's own
    assert after is not None
    back = set(after.frame(ROWS)["vote_id"]) - set(before.frame(ROWS)["vote_id"])
    assert back == {vote(1)["vote_id"]}
    assert raw.newest("quarantined_feedback", WEEK, ("experiment",)).card.counts == {"rows": 1, "no_rating": 1}


def test_what_to_do_with_personal_data_is_a_setting(raw: ArtifactStore) -> None:
    private = at(5, response="Write to ann@example.org about it.")
    with_frames(raw, "raw_message_feedback", {"rows": frame(at(0), private)})
    found = {}
    for choice, status in (("redact", "accepted"), ("quarantine", "experiment"), ("keep", "experiment")):
        assert cleaned(raw, personal_data=choice).success
        made = raw.newest("clean_feedback", WEEK, (status,))
        assert made.card.settings["personal_data"] == choice
        found[choice] = made.frame(ROWS).set_index("vote_id")["response"].get(private["vote_id"])
    assert found == {"redact": "Write to <EMAIL> about it.", "quarantine": None, "keep": private["response"]}


def test_a_vote_dated_after_it_was_read_is_refused(raw: ArtifactStore) -> None:
    (extracted,) = raw.of_week("raw_message_feedback", WEEK)
    later = extracted.card.created_at + timedelta(hours=1)
    with_frames(raw, "raw_message_feedback", {"rows": frame(at(0), at(1) | {"message_created_at": later})})
    assert cleaned(raw).success
    assert raw.require("quarantined_feedback", WEEK).card.counts["in_future"] == 1


@pytest.mark.parametrize("fault", ["lost", "twice", "exchanged"])
def test_rows_that_do_not_add_up_fail_the_check(
    raw: ArtifactStore, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    honest = clean.clean_week

    def faulty(*arguments: Any) -> clean.CleanResult:
        result = honest(*arguments)
        rows = {
            "lost": result.clean.iloc[:0],
            "twice": pd.concat([result.clean, result.clean]),
            "exchanged": result.clean.assign(vote_id="another"),  # the count is right
        }[fault]
        return clean.CleanResult(rows, result.quarantined)

    monkeypatch.setattr(clean, "clean_week", faulty)
    assert "adds_up" in failed_checks(cleaned(raw))
    assert raw.newest("clean_feedback", WEEK) is None  # rejected: nothing is built on it
    monkeypatch.setattr(clean, "clean_week", honest)
    assert "adds_up" not in failed_checks(cleaned(raw))
    assert raw.newest("clean_feedback", WEEK) is not None


def test_the_rules_show_in_the_code_version(raw: ArtifactStore) -> None:
    from rlhf_assets.defs.clean_feedback.clean_feedback import clean_and_quarantined_feedback

    versions = set(clean_and_quarantined_feedback.code_versions_by_key.values())
    assert len(versions) == 1
    assert next(iter(versions)).endswith(fingerprint(RULES))
    assert cleaned(raw).success
    assert {raw.require("clean_feedback", WEEK).card.code_version} == versions
