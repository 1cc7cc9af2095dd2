"""Resemblance of queries, by hand and against comparing everything with everything."""

import numpy as np
import pytest

from rlhf_assets.feedback.near_duplicates import MinHashes, NearDuplicates, jaccard, normalised, shingles


def test_normalised() -> None:
    assert normalised("  What IS\n\tＣＯ２? ") == "what is co2?"
    assert normalised("STRASSE") == normalised("straße")


def test_shingles_are_words_and_word_trigrams() -> None:
    assert shingles("what is a heat pump?") == {
        *("what", "is", "a", "heat", "pump"),
        *("what is a", "is a heat", "a heat pump"),
    }
    assert shingles("heat pump") == {"heat", "pump"}
    assert shingles("🙏") == {"🙏"}


def test_jaccard() -> None:
    # 7 shingles of 4 words against 5 + 3 of 5 words: all 4 + 2 of the first are in the second.
    assert jaccard(shingles("what is heat pump"), shingles("what is heat pump today")) == 6 / 8
    assert jaccard(shingles("🙏"), shingles("🌍")) == 0


@pytest.mark.parametrize(("threshold", "found"), [(0.75, [0]), (0.76, [])])
def test_the_threshold_itself_is_alike(threshold: float, found: list[int]) -> None:
    texts = ["what is heat pump", "what is heat pump today"]
    seen = NearDuplicates(texts, threshold)
    seen.add(texts[0])
    assert seen.like(texts[1]) == found
    assert MinHashes(texts[:1], threshold).like(texts[1]) == [texts[number] for number in found]


def test_like_finds_what_comparing_all_pairs_finds() -> None:
    draw = np.random.default_rng(0)
    words = [f"word{i}" for i in range(300)]
    texts = []
    for _ in range(150):
        text = list(draw.choice(words, draw.integers(1, 26)))
        changed = list(text)
        changed[draw.integers(len(changed))] = draw.choice(words)
        texts += [" ".join(text), " ".join(changed), " ".join([*text, draw.choice(words)])]
    texts = list(dict.fromkeys(texts))
    seen = NearDuplicates(texts, 0.7)
    for number, text in enumerate(texts):
        expected = [i for i in range(number) if jaccard(shingles(text), shingles(texts[i])) >= 0.7]
        assert seen.like(text) == expected
        assert seen.add(text) == number
    assert sum(bool(seen.like(text)[1:]) for text in texts) > 100
    indexed = MinHashes(texts, 0.7)
    for text in texts:
        assert set(indexed.like(text)) == {texts[number] for number in seen.like(text)}
