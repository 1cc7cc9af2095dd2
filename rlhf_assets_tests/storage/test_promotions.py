"""Verdicts and decisions on hand-laid policies, and the pointer that follows them."""

import uuid
from pathlib import Path

import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.card import Status
from rlhf_assets.storage.promotions import decide, in_use, promoted_before, settle

FIRST, SECOND, THIRD = "2026-03-01", "2026-03-08", "2026-03-15"


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4()}/artifacts")


def lay(store: ArtifactStore, asset: str, week: str, status: Status, *parents: Artifact, reasons: str = "") -> Artifact:
    with store.draft(asset, week, "a-run") as draft:
        (draft.folder / "file").write_text(f"{asset} {week}")
        return draft.commit(status, parents=parents, reasons=[reasons] if reasons else [])


def judged(store: ArtifactStore, week: str, status: Status, reasons: str = "") -> Artifact:
    """A policy of that week with its comparison and the gate's verdict, settled as a run settles it."""
    policy = lay(store, "ppo_policy", week, "candidate")
    evaluation = lay(store, "policy_evaluation", week, "accepted", policy)
    lay(store, "promotion", week, status, policy, evaluation, reasons=reasons)
    settle(store)
    return policy


def week_in_use(store: ArtifactStore) -> str | None:
    used = in_use(store)
    return used.card.week if used else None


def test_the_policy_in_use_is_that_of_the_latest_promoted_week(store: ArtifactStore) -> None:
    assert settle(store) is in_use(store) is None
    judged(store, SECOND, "promoted")
    judged(store, FIRST, "promoted")  # a backfill of an older week
    judged(store, THIRD, "rejected")
    assert week_in_use(store) == SECOND


def test_an_older_week_is_compared_with_what_stood_before_it(store: ArtifactStore) -> None:
    judged(store, FIRST, "promoted")
    judged(store, SECOND, "rejected")
    judged(store, THIRD, "promoted")
    assert promoted_before(store, FIRST) is None
    before = promoted_before(store, THIRD)
    assert before is not None
    assert before.card.week == FIRST


def test_a_later_refusal_takes_no_policy_out_of_use(store: ArtifactStore) -> None:
    judged(store, FIRST, "promoted")
    judged(store, FIRST, "rejected")
    assert week_in_use(store) == FIRST


def test_a_demoted_policy_gives_way_to_the_one_before_and_can_come_back(store: ArtifactStore) -> None:
    judged(store, FIRST, "promoted")
    judged(store, SECOND, "promoted")
    decision = decide(store, SECOND, "demoted", "ann", "wrong about\n visas")
    assert decision.card.reasons == ["demoted by ann: wrong about visas"]
    assert week_in_use(store) == FIRST
    before = promoted_before(store, THIRD)
    assert before is not None
    assert before.card.week == FIRST
    decide(store, FIRST, "demoted", "ann", "so is this one")
    assert week_in_use(store) is None
    assert promoted_before(store, THIRD) is None
    decide(store, SECOND, "promoted", "bob", "visas are gone")
    assert week_in_use(store) == SECOND


def test_what_waits_for_approval_is_used_once_a_person_says_so(store: ArtifactStore) -> None:
    policy = judged(store, FIRST, "accepted", "it waits")
    assert week_in_use(store) is None
    decision = decide(store, FIRST, "promoted", "ann", "read it")
    assert decision.card.reasons == ["promoted by ann: read it"]
    assert [parent.asset for parent in decision.card.parents] == ["ppo_policy", "policy_evaluation"]
    used = in_use(store)
    assert used is not None
    assert used.relative_path == policy.relative_path


def test_an_approval_that_comes_late_leaves_the_later_policy_in_use(store: ArtifactStore) -> None:
    judged(store, FIRST, "accepted")
    judged(store, SECOND, "promoted")
    decide(store, FIRST, "promoted", "ann", "at last")
    assert week_in_use(store) == SECOND


def test_a_refused_policy_is_promoted_over_the_gate_alone(store: ArtifactStore) -> None:
    judged(store, FIRST, "rejected", "too long")
    with pytest.raises(RlhfError, match=r"the gate refused .*: too long; --over-gate"):
        decide(store, FIRST, "promoted", "ann", "we want long ones")
    decision = decide(store, FIRST, "promoted", "ann", "we want long ones", over_gate=True)
    assert decision.card.reasons == ["promoted by ann: we want long ones", "over the gate: too long"]
    assert week_in_use(store) == FIRST


def test_what_is_decided_already_or_cannot_be_is_told(store: ArtifactStore) -> None:
    with pytest.raises(RlhfError, match=f"no verdict .* `rlhf train ppo --week {FIRST}`"):
        decide(store, FIRST, "promoted", "ann", "why not")
    judged(store, FIRST, "rejected")
    with pytest.raises(RlhfError, match="no verdict"):
        decide(store, FIRST, "demoted", "ann", "never used")
    judged(store, SECOND, "promoted")
    with pytest.raises(RlhfError, match="promoted already: by the gate"):
        decide(store, SECOND, "promoted", "ann", "again")
    decide(store, SECOND, "demoted", "ann", "bad")
    with pytest.raises(RlhfError, match="demoted already: demoted by ann: bad"):
        decide(store, SECOND, "demoted", "ann", "again")
