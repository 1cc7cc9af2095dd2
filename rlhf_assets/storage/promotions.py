"""Which policy the assistant should use: the gate's verdicts and people's decisions, all of them cards of `promotion`.

Of each week the newest decision counts, and the policy in use is that of the latest week that is promoted. The small
file `promoted.json`, which names it, follows from the cards.
"""

from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore, write_whole
from rlhf_assets.storage.card import Pointer, Status

PROMOTION = "promotion"
POINTER = "promoted.json"
DECISIONS: tuple[Status, ...] = ("promoted", "demoted")  # a later refusal takes no policy out of use


def in_use(store: ArtifactStore) -> Artifact | None:
    """The policy that the assistant should use now; RlhfError when the pointer names none."""
    pointer = store.root / POINTER
    if not pointer.exists():
        return None
    try:
        named = Pointer.model_validate_json(pointer.read_text())
    except ValidationError as error:
        raise RlhfError(
            f"{pointer} names no policy ({error.errors()[0]['msg']}); `rlhf promote` or `rlhf demote` with --week "
            "writes it anew"
        ) from None
    return store.open(named.path)


def promoted_in(store: ArtifactStore, week: str) -> Artifact | None:
    """The policy that the newest decision of that week promotes."""
    decision = store.newest(PROMOTION, week, DECISIONS)
    return policy_of(store, decision) if decision and decision.card.status == "promoted" else None


def promoted_before(store: ArtifactStore, week: str) -> Artifact | None:
    """The policy promoted in the latest week before `week`, which a backfilled older week is compared with."""
    weeks = reversed([earlier for earlier in store.weeks(PROMOTION) if earlier < week])
    return next((policy for each in weeks if (policy := promoted_in(store, each))), None)


def why_demoted(store: ArtifactStore, policy: Artifact) -> list[str]:
    """What people said when they took that policy out of use; empty where nobody did or it is back."""
    decision = store.newest(PROMOTION, policy.card.week, DECISIONS)
    if decision is None or decision.card.status != "demoted":
        return []
    return decision.card.reasons if policy_of(store, decision).folder == policy.folder else []


def settle(store: ArtifactStore) -> Artifact | None:
    """Let the pointer name the policy that the cards say is in use, or be gone; returns that policy."""
    weeks = reversed(store.weeks(PROMOTION))
    policy = next((policy for each in weeks if (policy := promoted_in(store, each))), None)
    if policy:
        pointer = Pointer(week=policy.card.week, path=policy.relative_path)
        write_whole(store.root / POINTER, pointer.model_dump_json())
    else:
        (store.root / POINTER).unlink(missing_ok=True)
    return policy


def decide(
    store: ArtifactStore,
    week: str,
    status: Literal["promoted", "demoted"],
    person: str,
    reason: str,
    over_gate: bool = False,
) -> Artifact:
    """A person's decision on the week's policy, as the newest card of `promotion`; moves the pointer.

    over_gate: promote although the gate refused. Raises RlhfError where there is nothing to decide.
    """
    promoting = status == "promoted"
    verdicts = store.of_week(PROMOTION, week)
    verdict = verdicts[-1] if promoting and verdicts else store.newest(PROMOTION, week, DECISIONS)
    if verdict is None:
        raise RlhfError(f"there is no verdict on a policy of week {week}; `rlhf train ppo --week {week}` makes one")
    if verdict.card.status == status:
        raise RlhfError(f"the policy of week {week} is {status} already: {why(verdict)}")
    refused = promoting and verdict.card.status == "rejected"
    if refused and not over_gate:
        raise RlhfError(
            f"the gate refused the policy of week {week}: {why(verdict)}; --over-gate promotes it all the same"
        )
    policy = policy_of(store, verdict)
    evaluation = next(p for p in verdict.card.parents if p.asset == "policy_evaluation")
    now = datetime.now(UTC)
    with store.draft(PROMOTION, week, f"by-hand-{now:%Y%m%dT%H%M%S}") as draft:
        decision = draft.commit(
            status,
            parents=[policy, store.open(evaluation.path)],
            reasons=[
                f"{status} by {person}: {' '.join(reason.split())}",
                *(f"over the gate: {against}" for against in verdict.card.reasons if refused),
            ],
        )
    settle(store)
    return decision


def policy_of(store: ArtifactStore, decision: Artifact) -> Artifact:
    """The policy that was decided on."""
    return store.open(next(p.path for p in decision.card.parents if p.asset == "ppo_policy"))


def why(decision: Artifact) -> str:
    """The reasons on its card, in one line."""
    return "; ".join(decision.card.reasons) or "by the gate"
