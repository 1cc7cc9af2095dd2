"""What an artifact was made from, as links into the UI."""

from collections.abc import Iterable

import dagster as dg

from rlhf_assets.errors import RlhfError
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.card import Parent

RUN_ID = 36  # characters; the folder of a run's second attempt has a number after them


def made_from(artifact: Artifact) -> dict[str, dg.MarkdownMetadataValue]:
    """For each asset behind it, nearest first: the week and the run of what was taken, of feedback which weeks.

    Nothing but names of ours, weeks and run ids stands there, so Markdown is safe.
    """
    return {
        f"from_{asset}": dg.MetadataValue.md(
            weeks_linked(parents) if of_feedback(asset) else ", ".join(map(linked, parents))
        )
        for asset, parents in behind(artifact).items()
    }


def behind(artifact: Artifact) -> dict[str, list[Parent]]:
    """By asset, the parents of an artifact and, of its own week, theirs, down to the weeks of feedback.

    What lies behind the policy of an earlier week, which this week's was compared with, is told there.
    """
    store, found = ArtifactStore(str(artifact.root)), dict[str, list[Parent]]()
    waiting = list(artifact.card.parents)
    while waiting:
        parent = waiting.pop(0)
        if parent in (known := found.setdefault(parent.asset, [])):
            continue
        known.append(parent)
        if parent.week == artifact.card.week and not of_feedback(parent.asset):
            waiting += parents_of(store, parent)
    return found


def parents_of(store: ArtifactStore, parent: Parent) -> list[Parent]:
    """What that one was made from; nothing where `rlhf gc` has removed it."""
    try:
        return store.open(parent.path).card.parents
    except RlhfError:
        return []


def of_feedback(asset: str) -> bool:
    """Whether each artifact of that asset holds one week, so that many of them stand behind another."""
    return asset.endswith("_feedback")


def linked(parent: Parent) -> str:
    run = parent.path.rpartition("/")[2][:RUN_ID]
    return f"{week_linked(parent)} by run [{run[:8]}](/runs/{run})"


def weeks_linked(parents: Iterable[Parent]) -> str:
    by_week = {parent.week: parent for parent in parents}
    first, last = by_week[min(by_week)], by_week[max(by_week)]
    if first is last:
        return week_linked(first)
    return f"{week_linked(first)} to {week_linked(last)}, {len(by_week)} weeks"


def week_linked(parent: Parent) -> str:
    return f"[{parent.week}](/assets/{parent.asset}?view=partitions&partition={parent.week})"
