"""Edges between the pixels of an image, by weight, and between what pixels are merged to.

Shape suffixes: H×W the image, P pixels, E edges, N nodes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

_SLOTS = 2**18


class NodeEdges:
    """Edges between N nodes by rank, the lightest has rank 0; those that cannot merge any more get closed."""

    def __init__(self, low: np.ndarray, high: np.ndarray, weight: np.ndarray, nodes: int) -> None:
        """Take the nodes at both ends, int64 [E], and the weights, float64 [E], lightest first."""
        self.weight = weight
        """float64 [E], also of closed edges."""
        self._nodes = nodes
        self._ends = low, high
        # The open ones, heaviest first: of several values put in one place the last one stays.
        self._rank, self._low, self._high = np.arange(len(weight))[::-1].copy(), low[::-1].copy(), high[::-1].copy()

    def __len__(self) -> int:
        """Edges that are open."""
        return len(self._rank)

    def ends(self, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nodes at both ends of some edges."""
        low, high = self._ends
        return low[ranks], high[ranks]

    def lightest(self, group: np.ndarray) -> np.ndarray:
        """Per group its lightest open edge to another; E where it has none, int64 [N].

        Args:
            group: of each node, int64 [N].
        """
        low, high = group[self._low], group[self._high]
        leaving = np.flatnonzero(low != high)
        rank = self._rank[leaving]
        result = np.full(self._nodes, len(self.weight))
        others = result.copy()
        result[low[leaving]] = rank
        others[high[leaving]] = rank
        return np.minimum(result, others, out=result)

    def close(self, group: np.ndarray, *, either: np.ndarray | None = None, both: np.ndarray | None = None) -> None:
        """Close edges inside a group, and those that some groups are at one end of, or at both.

        Args:
            group: of each node, int64 [N].
            either: groups whose edges are all closed, bool [N].
            both: groups between which all edges are closed, bool [N].
        """
        low, high = group[self._low], group[self._high]
        still = low != high
        if either is not None:
            still &= ~(either[low] | either[high])
        if both is not None:
            still &= ~(both[low] & both[high])
        left = np.flatnonzero(still)
        self._rank, self._low, self._high = self._rank[left], low[left], high[left]

    def open(self) -> Iterator[tuple[int, int, float]]:
        """The open edges, lightest first: the nodes, or their groups, at both ends, and the weight."""
        rank = self._rank[::-1]
        return zip(self._low[::-1].tolist(), self._high[::-1].tolist(), self.weight[rank].tolist(), strict=True)


class PixelEdges:
    """Edges between the P pixels of an image and their eight neighbours, by rank."""

    def __init__(self, image: np.ndarray) -> None:
        """Weigh edges by the difference of colours, float64 [H, W, 3]."""
        self._shape = height, width = image.shape[:2]
        every, here, there = slice(None), slice(None, -1), slice(1, None)
        # Right, down, right and down, left and down. Edges of one weight come in the order in which
        # NumPy sorts this array: that of scikit-image.
        self._pairs = [((every, here), (every, there)), ((here, every), (there, every))]
        self._pairs += [((here, here), (there, there)), ((here, there), (there, here))]
        planes = [np.ascontiguousarray(image[..., channel]) for channel in range(3)]
        weight = np.concatenate([_differences(planes, one, other).ravel() for one, other in self._pairs])
        self._order = np.argsort(weight)
        self.weight = weight[self._order]
        self._ends = self._by_pair(np.arange(height * width, dtype=np.int32).reshape(height, width))
        rank = np.empty(len(weight), np.int32)
        rank[self._order] = np.arange(len(weight), dtype=np.int32)
        self._ranks: list[tuple[int, np.ndarray]] = []
        begin = 0
        for (one, _), offset in zip(self._pairs, (1, width, width + 1, width - 1), strict=True):
            plane_HW = np.full((height, width), len(weight), np.int32)
            size = plane_HW[one].size
            if size:
                plane_HW[one] = rank[begin : begin + size].reshape(plane_HW[one].shape)
                # Of the edge from each pixel to the one `offset` further on, E where there is none.
                self._ranks.append((offset, plane_HW.ravel()[:-offset]))
            begin += size

    def ends(self, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pixels at both ends of some edges."""
        edges = self._order[ranks]
        low, high = self._ends
        return low[edges], high[edges]

    def lightest(self, group: np.ndarray) -> np.ndarray:
        """Per group its lightest edge to another; E where it has none, int64 [P].

        Args:
            group: of each pixel, int64 [P].
        """
        none = np.int32(len(self.weight))
        group = group.astype(np.int32)
        of_pixel = np.full(len(group), none, np.int32)
        for offset, ranks in self._ranks:
            leaving = np.where(group[:-offset] != group[offset:], ranks, none)
            np.minimum(of_pixel[:-offset], leaving, out=of_pixel[:-offset])
            np.minimum(of_pixel[offset:], leaving, out=of_pixel[offset:])
        result = np.full(len(group), none, np.int32)
        np.minimum.at(result, group, of_pixel)
        return result.astype(np.int64)

    def contract(self, node: np.ndarray, nodes: int) -> NodeEdges:
        """The edges between nodes; of all edges of two nodes mostly the lightest alone.

        Args:
            node: of each pixel, int64 [P].
        """
        low, high = self._by_pair(node.astype(np.int32).reshape(self._shape))
        rank = np.flatnonzero((low != high)[self._order])
        edges = self._order[rank]
        low, high = low[edges].astype(np.int64), high[edges].astype(np.int64)
        first = first_of_pairs(low, high)
        return NodeEdges(low[first], high[first], self.weight[rank[first]], nodes)

    def _by_pair(self, pixels_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = np.concatenate([pixels_HW[one].ravel() for one, _ in self._pairs])
        return low, np.concatenate([pixels_HW[other].ravel() for _, other in self._pairs])


def _differences(planes: Sequence[np.ndarray], one: tuple[slice, slice], other: tuple[slice, slice]) -> np.ndarray:
    # Summed in the order of the channels, as scikit-image does: not a bit of a weight may differ.
    total_HW = np.zeros_like(planes[0][one])
    for plane_HW in planes:
        difference_HW = plane_HW[other] - plane_HW[one]
        total_HW += difference_HW * difference_HW
    return np.sqrt(total_HW)


def first_of_pairs(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Indices of pairs, without most repetitions: the first of equal pairs is always there.

    Args:
        low, high: int64 [E], below 2**32; a pair and its opposite are equal.
    """
    small, large = np.minimum(low, high), np.maximum(low, high)
    slot = (small * 0x9E3779B1 + large * 0x85EBCA6B >> 12) & (_SLOTS - 1)
    first = np.zeros(_SLOTS, np.int32)
    first[slot[::-1]] = np.arange(len(slot) - 1, -1, -1, dtype=np.int32)
    of_slot = first[slot]
    # Of two pairs that share a slot both are kept.
    return np.flatnonzero((of_slot == np.arange(len(slot))) | (small[of_slot] != small) | (large[of_slot] != large))
