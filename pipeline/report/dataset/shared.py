"""Masks that several nouns of an image share."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline.report.dataset.reading import Pairs

_MOST_NOUNS = 8
"""Nouns further apart than this in the list of a mask's nouns are not counted as a couple."""


@dataclass(frozen=True)
class SharedMasks:
    """Which pairs have the same mask; P pairs."""

    order: np.ndarray
    """int64 [P]: pairs in the order of their masks."""
    start: np.ndarray
    """int64 [P]: by pair, where the pairs of its mask begin in `order`."""
    pairs: np.ndarray
    """int64 [P]: by pair, how many pairs have its mask; itself included."""
    nouns: np.ndarray
    """int64 [P]: by pair, how many different nouns these pairs have: of one noun there may be several phrases."""

    def of(self, pair: int) -> np.ndarray:
        """All pairs that have the mask of this one."""
        start = self.start[pair]
        return self.order[start : start + self.pairs[pair]]

    @property
    def masks(self) -> int:
        """Masks that at least one noun matched."""
        return len(np.unique(self.start))

    @property
    def shared(self) -> int:
        """Masks that several nouns share."""
        return len(np.unique(self.start[self.nouns > 1]))


def find_shared(pairs: Pairs) -> SharedMasks:
    """Group the pairs by image and proposal."""
    mask = pairs.image.astype(np.int64) << 32 | pairs.proposal
    order = np.argsort(mask, kind="stable")
    _, starts, groups, counts = np.unique(mask[order], return_index=True, return_inverse=True, return_counts=True)
    start, same_mask, nouns = np.empty_like(order), np.empty_like(order), np.empty_like(order)
    different = np.unique(groups.astype(np.int64) << 32 | pairs.noun[order]) >> 32
    start[order], same_mask[order] = starts[groups], counts[groups]
    nouns[order] = np.bincount(different, minlength=len(counts))[groups]
    return SharedMasks(order, start, same_mask, nouns)


def couples(pairs: Pairs, shared: SharedMasks, most: int) -> list[tuple[str, str, int]]:
    """The two nouns that most often share one mask, and how often; the most frequent first."""
    found: Counter[int] = Counter()
    nouns, starts = pairs.noun[shared.order].astype(np.int64), shared.start[shared.order]
    for lag in range(1, min(_MOST_NOUNS, len(pairs))):
        same = (starts[lag:] == starts[:-lag]) & (nouns[lag:] != nouns[:-lag])
        ends = np.sort(np.stack([nouns[lag:][same], nouns[:-lag][same]]), axis=0)
        codes, counts = np.unique(ends[0] << 32 | ends[1], return_counts=True)
        found.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
    named = []
    for code, count in found.items():
        first, second = sorted((pairs.nouns[code >> 32], pairs.nouns[code & 0xFFFFFFFF]))
        named.append((first, second, count))
    return sorted(named, key=lambda row: (-row[2], row[:2]))[:most]
