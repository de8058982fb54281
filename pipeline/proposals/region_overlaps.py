"""Pixels that regions of one image have in common, without looking at masks.

Regions are nodes of trees: ranges of leaves, numbered depth first.
"""

import numpy as np

from pipeline.proposals.region_tree import RegionTree


def nested(tree: RegionTree, nodes: np.ndarray) -> np.ndarray:
    """Pixels that each two of K nodes of a tree have in common, int64 [K, K]: all of the smaller, or none."""
    first, end, areas = tree.first[nodes], tree.end[nodes], tree.areas[nodes].astype(np.int64)
    meet = np.maximum(first[:, None], first) < np.minimum(end[:, None], end)
    return np.where(meet, np.minimum(areas[:, None], areas), 0)


def crossing(tree: RegionTree, nodes: np.ndarray, other: RegionTree, other_nodes: np.ndarray) -> np.ndarray:
    """Pixels that each of A nodes of a tree has in common with each of B of another of the same image, int64 [A, B]."""
    pieces_WH, begin, end, count = _pieces(tree, nodes)
    other_pieces_WH, other_begin, other_end, other_count = _pieces(other, other_nodes)
    pairs = np.bincount((pieces_WH * other_count + other_pieces_WH).ravel(), minlength=count * other_count)
    # Of ranges of pieces: differences of the sums up to their ends and up to their beginnings.
    sums = np.zeros((count + 1, other_count + 1), np.int64)
    pairs.reshape(count, other_count).cumsum(axis=0, out=sums[1:, 1:])
    rows = sums[end] - sums[begin]
    np.cumsum(rows, axis=1, out=rows)
    return rows[:, other_end] - rows[:, other_begin]


def _pieces(tree: RegionTree, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The image in pieces, each of leaves that are in the same nodes.

    Returns the piece at each pixel, int64 [W, H]; of each node the first piece and the one after its
    last; how many there are.
    """
    first, end = tree.first[nodes], tree.end[nodes]
    cuts = np.unique(np.concatenate([[0], first, end]))
    cuts = cuts[cuts < tree.leaves]
    piece = np.searchsorted(cuts, np.arange(tree.leaves), side="right") - 1
    return piece[tree.order_WH], np.searchsorted(cuts, first), np.searchsorted(cuts, end), len(cuts)
