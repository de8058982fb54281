"""Groups of 64-bit hashes that differ in few bits, without comparing each with each.

Two hashes that differ in at most d bits agree in at least k of any d + k bands of bits (the pigeonhole principle). So
for every choice of k bands the hashes are sorted by these bits, and compared with those that have the same. Larger sets
take a larger k: more sorting, fewer that agree by chance. What is near is joined (union–find), so that a group may hold
hashes that differ in more than d bits, with others between them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_BITS = 64
_MOST_BANDS = 6
"""That have to agree."""
_SORTING = 20
"""What sorting costs for each hash, in comparisons."""
MOST_COMPARED = 1024
"""Hashes that agree in the same bands and that each is compared with: see `NearHashes.crowded`."""
_PENDING = 2**20
"""Pairs that are joined at a time."""
_AT_A_TIME = 4096
"""Hashes of another set that are looked for at a time."""


@dataclass(frozen=True)
class NearHashes:
    """Which hashes are near to one another."""

    first: np.ndarray
    """int64 [N]: of each hash the first one of its group, by index; its own where it is alone."""
    crowded: int
    """Distinct hashes that agree in some bands with more than `MOST_COMPARED` others, and were compared with so many
    of them there: some that are near may stay apart. 0: nothing was left out."""


def group_near(hashes_N: np.ndarray, distance: int) -> NearHashes:
    """Group hashes that differ in at most `distance` bits, each of them from another one of its group.

    Equal hashes count once, so that many of them cost nothing. Memory grows with N alone, and time with N but for
    hashes that agree by chance.

    Args:
        hashes_N: uint64 [N].
        distance: 0..16.
    """
    hashes_U, first_U, of_unique_N = np.unique(hashes_N, return_index=True, return_inverse=True)
    labels_U = np.arange(len(hashes_U))
    crowded_U = np.zeros(len(hashes_U), bool)
    for mask in _masks(len(hashes_U), distance) if distance else ():
        pending: list[tuple[np.ndarray, np.ndarray]] = []
        waiting = 0
        for one, other in _near(hashes_U, mask, distance, crowded_U):
            apart = labels_U[one] != labels_U[other]
            pending.append((one[apart], other[apart]))
            waiting += int(np.count_nonzero(apart))
            if waiting > _PENDING:
                labels_U, pending, waiting = _joined(labels_U, pending), [], 0
        if waiting:
            labels_U = _joined(labels_U, pending)
    first_of_label_U = np.full(len(hashes_U), len(hashes_N))
    np.minimum.at(first_of_label_U, labels_U, first_U)
    return NearHashes(first_of_label_U[labels_U][of_unique_N], int(np.count_nonzero(crowded_U)))


def _masks(count: int, distance: int) -> list[np.uint64]:
    """The bits of every choice of k bands of d + k, with the k that makes the fewest comparisons."""

    def cost(agreeing: int) -> float:
        by_chance = count / 2 ** (_BITS * agreeing // (distance + agreeing))
        return math.comb(distance + agreeing, agreeing) * (_SORTING + by_chance)

    agreeing = min(range(1, _MOST_BANDS + 1), key=cost)
    edges = np.linspace(0, _BITS, distance + agreeing + 1).round().astype(int).tolist()
    bands = [((1 << end) - 1) ^ ((1 << begin) - 1) for begin, end in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(bands, agreeing)]


def _near(
    hashes_U: np.ndarray, mask: np.uint64, distance: int, crowded_U: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of indices of hashes that agree in the bits of a mask and are near; marks those that are crowded."""
    keys_U = hashes_U & mask
    order_U = np.argsort(keys_U)
    keys_U = keys_U[order_U]
    # Hashes that agree stand in runs: each is compared with the next one, then the next but one, …
    begins = np.arange(len(keys_U))
    for step in range(1, len(keys_U)):
        begins = begins[begins < len(keys_U) - step]
        begins = begins[keys_U[begins] == keys_U[begins + step]]
        if not len(begins):
            return
        if step > MOST_COMPARED:
            crowded_U[order_U[begins]] = True
            return
        one, other = order_U[begins], order_U[begins + step]
        near = np.bitwise_count(hashes_U[one] ^ hashes_U[other]) <= distance
        yield one[near], other[near]


def _joined(labels_U: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The labels after pairs have been joined: of each the index of one of its group, the same for all of it."""
    ones, others = (np.concatenate(side) for side in zip(*pairs, strict=True))
    count = len(labels_U)
    ends = np.concatenate([np.arange(count), ones]), np.concatenate([labels_U, others])
    graph = coo_array((np.ones(len(ends[0]), bool), ends), shape=(count, count))
    components_U = connected_components(graph, directed=False)[1]
    return np.unique(components_U, return_index=True)[1][components_U]


def near_pairs(ones_N: np.ndarray, others_M: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of a hash of one set and one of another that differ in at most `distance` bits.

    Args:
        ones_N: uint64 [N].
        others_M: uint64 [M].

    Returns:
        indices into each, int64 [P], sorted by the second, then the first.
    """
    hashes_U, of_unique_N = np.unique(ones_N, return_inverse=True)
    wanted_V, of_unique_M = np.unique(others_M, return_inverse=True)
    found = {
        (u, v) for mask in _masks(len(hashes_U), distance) for u, v in _between(hashes_U, wanted_V, mask, distance)
    }
    ones_of, others_of = _members(of_unique_N, len(hashes_U)), _members(of_unique_M, len(wanted_V))
    pairs = [(one, other) for u, v in found for one in ones_of[u] for other in others_of[v]]
    ones, others = np.array(pairs, np.int64).reshape(-1, 2).T
    order = np.lexsort((ones, others))
    return ones[order], others[order]


def _between(hashes_U: np.ndarray, wanted_V: np.ndarray, mask: np.uint64, distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of indices of two sets of hashes that agree in the bits of a mask and are near."""
    order_U = np.argsort(hashes_U & mask)
    keys_U, wanted_keys_V = (hashes_U & mask)[order_U], wanted_V & mask
    begins_V, ends_V = (np.searchsorted(keys_U, wanted_keys_V, side) for side in ("left", "right"))
    for begin in range(0, len(wanted_V), _AT_A_TIME):
        part = slice(begin, begin + _AT_A_TIME)
        counts = ends_V[part] - begins_V[part]
        others = np.repeat(np.arange(len(wanted_V))[part], counts)
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        ones = order_U[np.repeat(begins_V[part], counts) + steps]
        near = np.bitwise_count(hashes_U[ones] ^ wanted_V[others]) <= distance
        yield from zip(ones[near].tolist(), others[near].tolist(), strict=True)


def _members(of_unique_N: np.ndarray, count: int) -> list[np.ndarray]:
    """By unique value the indices that have it."""
    order_N = np.argsort(of_unique_N, kind="stable")
    return np.split(order_N, np.cumsum(np.bincount(of_unique_N, minlength=count))[:-1])
