"""Which texts are read together."""

import numpy as np

from rlhf_assets.reward.batches import batches, units

LENGTHS = np.random.default_rng(0).integers(5, 200, 700)
ALONE = [np.array([i]) for i in range(700)]


def test_what_competes_is_together_and_the_rest_alone() -> None:
    made = units(7, better=np.array([0, 5, 2]), worse=np.array([3, 6, 5]), state=np.array([9, 1, 4, 9, 1, 4, 4]))
    assert sorted(group.tolist() for group in made) == [[0, 3], [1], [2, 5, 6], [4]]
    assert [group.tolist() for group in units(2, np.empty(0, int), np.empty(0, int), np.zeros(2, int))] == [[0], [1]]


def test_each_text_once_with_little_padding_in_another_order_each_epoch() -> None:
    draw = np.random.default_rng(1)
    first, second = (batches(ALONE, LENGTHS, 16, draw) for _ in range(2))
    assert sorted(text for batch in first for text in batch) == list(range(700))
    assert max(len(batch) for batch in first) == 16
    padded = sum(LENGTHS[batch].max() * len(batch) for batch in first)
    assert padded < 1.05 * LENGTHS.sum()
    assert [set(batch.tolist()) for batch in first] != [set(batch.tolist()) for batch in second]
    longest = [LENGTHS[batch].max() for batch in first]
    assert longest != sorted(longest)
    again = batches(ALONE, LENGTHS, 16, np.random.default_rng(1))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_a_group_stays_whole_until_it_is_too_large() -> None:
    groups = [np.arange(0, 20), np.arange(20, 320), *(np.array([i, i + 1]) for i in range(320, 700, 2))]
    made = batches(groups, LENGTHS, 16, np.random.default_rng(0))
    assert sorted(text for batch in made for text in batch) == list(range(700))
    homes = {text: number for number, batch in enumerate(made) for text in batch}
    assert len({homes[text] for text in groups[0]}) == 1
    assert all(len({homes[text] for text in pair}) == 1 for pair in groups[2:])
    assert len({homes[text] for text in groups[1]}) == 5  # of at most 64
    assert max(map(len, made)) <= 64
