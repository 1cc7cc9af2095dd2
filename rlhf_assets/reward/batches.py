"""Which texts the model reads together: similar lengths, and whole what competes."""

import numpy as np

GROUP = 50  # batches sorted by length together: little padding, and still another order each epoch
MOST_TOGETHER = 4  # batches' worth of answers of one state; more are parted at random, anew each epoch


def units(texts: int, better: np.ndarray, worse: np.ndarray, state: np.ndarray) -> list[np.ndarray]:
    """Numbers of texts that are read together: answers of one state that compete; each other text by itself.

    state: (texts,) the number of each text's state of a chat; better, worse: (m,) numbers of competing texts.
    """
    competing = np.unique(np.concatenate([better, worse]))
    order = competing[np.argsort(state[competing], kind="stable")]
    together = np.split(order, np.flatnonzero(np.diff(state[order])) + 1) if len(order) else []
    alone = np.setdiff1d(np.arange(texts), competing)
    return [*together, *alone[:, None]]


def batches(
    groups: list[np.ndarray], lengths: np.ndarray, batch_size: int, shuffle: np.random.Generator
) -> list[np.ndarray]:
    """Every text once, in batches of about `batch_size` texts of similar length, in random order.

    A group stays whole, in a batch of its own where it has more, up to MOST_TOGETHER times as many.
    """
    parts: list[np.ndarray] = []
    for group in (groups[i] for i in shuffle.permutation(len(groups))):
        pieces = -(-len(group) // (MOST_TOGETHER * batch_size))
        parts += np.array_split(shuffle.permutation(group), pieces) if pieces > 1 else [group]
    filled: list[np.ndarray] = []
    near: list[np.ndarray] = []
    for number, part in enumerate(parts, 1):
        near.append(part)
        if sum(map(len, near)) >= batch_size * GROUP or number == len(parts):
            filled += fill(sorted(near, key=lambda texts: lengths[texts].max()), batch_size)
            near = []
    return [filled[i] for i in shuffle.permutation(len(filled))]


def fill(parts: list[np.ndarray], batch_size: int) -> list[np.ndarray]:
    """One after the other into batches, the next begun where a part would not fit any more."""
    made: list[list[np.ndarray]] = [[]]
    for part in parts:
        if made[-1] and sum(map(len, made[-1])) + len(part) > batch_size:
            made.append([])
        made[-1].append(part)
    return [np.concatenate(batch) for batch in made if batch]
