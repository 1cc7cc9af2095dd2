"""Texts that say nearly the same: sets of words and word trigrams whose Jaccard similarity reaches a threshold."""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128
SEED = 1
RECALL = (0.01, 0.99)  # every candidate is verified, so the index may propose too many but should miss few


def normalised(text: str) -> str:
    """The text without what does not make it another question: case, spacing, Unicode variants of one character."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> frozenset[str]:
    """Words and word trigrams of a normalised text; a text without words is its own only shingle."""
    words = re.findall(r"\w+", text)
    return frozenset(words) | {" ".join(words[i : i + 3]) for i in range(len(words) - 2)} or frozenset([text])


def jaccard(left: frozenset[str] | set[int], right: frozenset[str] | set[int]) -> float:
    return len(left & right) / len(left | right)


class NearDuplicates:
    """Normalised texts, numbered as they are added, searchable by resemblance; `texts` are all that will ever come.

    Exact: two sets that similar share one of the rarest shingles of each, as many as may differ and one more (prefix
    filtering: Chaudhuri, Ganti and Kaushik 2006). MinHash would miss one in a hundred of the pairs at the threshold,
    any of which may lie on two sides, and takes five times as long.
    """

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self.threshold = threshold
        parts = {text: shingles(text) for text in texts}
        frequency = Counter(part for found in parts.values() for part in found)
        rarest_first = sorted(frequency, key=frequency.__getitem__)  # any order of equals finds the same
        rank = {part: number for number, part in enumerate(rarest_first)}
        self.ranks = {text: sorted(rank[part] for part in found) for text, found in parts.items()}
        self.added: list[str] = []
        self.holders: defaultdict[int, list[int]] = defaultdict(list)  # rank of a shingle -> numbers of added texts

    def like(self, text: str) -> list[int]:
        """Numbers of the added texts that are at least `threshold` similar, in the order in which they were added."""
        ranks = set(self.ranks[text])
        proposed = {number for rank in self._rarest(text) for number in self.holders.get(rank, ())}
        return sorted(n for n in proposed if jaccard(ranks, set(self.ranks[self.added[n]])) >= self.threshold)

    def add(self, text: str) -> int:
        """Returns the number of the added text."""
        number = len(self.added)
        self.added.append(text)
        for rank in self._rarest(text):
            self.holders[rank].append(number)
        return number

    def _rarest(self, text: str) -> list[int]:
        ranks = self.ranks[text]
        must_share = math.ceil(self.threshold * len(ranks) - 1e-9)  # rounding must not lose a pair
        return ranks[: len(ranks) - must_share + 1]


class MinHashes:
    """The same by MinHash and its index (Broder 1997; Leskovec, Rajaraman and Ullman, chapter 3), over given texts, to
    check the exact search by other means. The index only proposes; the Jaccard similarity decides.
    """

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self.threshold = threshold
        self.index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=RECALL)
        self.signatures = {text: signature(text) for text in texts}
        for text, hashes in self.signatures.items():
            self.index.insert(text, hashes)
        self.found: dict[str, list[str]] = {}  # each text is looked for once

    def like(self, text: str) -> list[str]:
        """Which of the texts are at least `threshold` similar to this one, in no order."""
        if text not in self.found:
            parts = shingles(text)
            proposed = self.index.query(self.signatures.get(text) or signature(text))
            self.found[text] = [other for other in proposed if jaccard(parts, shingles(other)) >= self.threshold]
        return self.found[text]


def signature(text: str) -> MinHash:
    hashes = EMPTY.copy()
    hashes.update_batch([part.encode() for part in shingles(text)])
    return hashes


EMPTY = MinHash(PERMUTATIONS, seed=SEED)
