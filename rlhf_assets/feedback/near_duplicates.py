"""Queries that say nearly the same, found among those seen before."""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128
SEED = 1
RECALL = (0.01, 0.99)  # every candidate is verified, so the index may propose too many but should miss none


def normalised(text: str) -> str:
    """The text without what does not make it another question: case, spacing, Unicode variants of one character."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> frozenset[str]:
    """Words and word trigrams of a normalised text; a text without words is its own only shingle."""
    words = re.findall(r"\w+", text)
    return frozenset(words) | {" ".join(words[i : i + 3]) for i in range(len(words) - 2)} or frozenset([text])


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)


class NearDuplicates:
    """Normalised texts, numbered as they are added, searchable by resemblance (MinHash and its index: Broder 1997;
    Leskovec, Rajaraman and Ullman, chapter 3). The index only proposes; the exact Jaccard similarity decides.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=RECALL)
        self.shingles: list[frozenset[str]] = []

    def like(self, text: str) -> list[int]:
        """Numbers of the added texts that are at least `threshold` similar, in the order in which they were added."""
        parts = shingles(text)
        proposed = sorted(self.index.query(signature(parts)))
        return [number for number in proposed if jaccard(parts, self.shingles[number]) >= self.threshold]

    def add(self, text: str) -> int:
        """Returns the number of the added text."""
        parts = shingles(text)
        self.shingles.append(parts)
        self.index.insert(len(self.shingles) - 1, signature(parts))
        return len(self.shingles) - 1


def number_alike(texts: Iterable[str], others: Iterable[str], threshold: float) -> int:
    """How many of the normalised texts are at least `threshold` similar to one of the others.

    Exact and without MinHash, to check the above: two sets that similar share one of the rarest shingles of each, as
    many as may differ and one more (prefix filtering: Chaudhuri, Ganti and Kaushik 2006).
    """
    ours, theirs = [shingles(text) for text in texts], [shingles(text) for text in others]
    frequency = Counter(part for parts in (*ours, *theirs) for part in parts)

    def rarest(parts: frozenset[str]) -> list[str]:
        must_share = math.ceil(threshold * len(parts) - 1e-9)  # rounding must not lose a pair
        return sorted(parts, key=lambda part: (frequency[part], part))[: len(parts) - must_share + 1]

    holders: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    for parts in theirs:
        for part in rarest(parts):
            holders[part].append(parts)
    return sum(
        any(jaccard(parts, other) >= threshold for part in rarest(parts) for other in holders[part]) for parts in ours
    )


def signature(parts: frozenset[str]) -> MinHash:
    hashes = EMPTY.copy()
    hashes.update_batch([part.encode() for part in parts])
    return hashes


EMPTY = MinHash(PERMUTATIONS, seed=SEED)
