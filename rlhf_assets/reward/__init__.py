"""The reward model: from ratings to one number for a question and its answer, or for one step of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlhf_assets.compute import Compute


def score(model: str, rows: Sequence[dict[str, Any]], compute: "Compute | None" = None) -> list[dict[str, float]]:
    """Score `rows` of {query, response} and optionally context (earlier turns, a list of {role, content}).

    `model` is a folder or a hub id. Returns, a row each, {"score": the model's raw output, "reward": the rating in
    [0, 1] that it stands for}. Raises RlhfError when the model cannot be loaded.
    """
    import json

    from rlhf_assets.compute import choose_compute
    from rlhf_assets.reward.scoring import RewardScorer

    scorer = RewardScorer(model, compute or choose_compute())
    raw = scorer.score(
        [row["query"] for row in rows],
        [row["response"] for row in rows],
        [json.dumps(row.get("context") or []) for row in rows],
    )
    pairs = zip(raw, scorer.calibrated(raw), strict=True)
    return [{"score": float(plain), "reward": float(reward)} for plain, reward in pairs]
