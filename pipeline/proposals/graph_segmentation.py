"""Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004) at several scales at once.

The labels of `skimage.segmentation.felzenszwalb`, to the last pixel, in a fraction of its time. That
takes the edges between pixels one by one, lightest first: two components merge along an edge that is
lighter than what either allows, its heaviest edge so far + scale / size. Little of that order matters:

- A component whose lightest edge is not lighter than it allows never grows again: all its other edges
  are heavier. It is frozen.
- Let each other component choose its lightest edge. The choices form trees. Towards the root of a tree
  edges get lighter; both ends of the lightest chose it. So the root takes in the others in the order of
  their edges, each as it is now, up to the lightest edge that leaves the tree.

Thus all trees advance at once, in about fifteen rounds of operations on whole arrays. The first rounds
are common to all scales: they do what the smallest scale allows, which every larger one allows too.
"""

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage

from pipeline.proposals.disjoint_sets import Components
from pipeline.proposals.pixel_edges import NodeEdges, PixelEdges

# Measured on photographs. After the rounds on pixels few nodes are left, and lists of edges are faster than planes.
_PIXEL_ROUNDS = 4
_COMMON_ROUNDS = 2
_FEW_EDGES = 300
_MOST_LEFT = 0.98


def felzenszwalb(image: np.ndarray, scales: Sequence[tuple[float, int]], sigma: float = 0.8) -> list[np.ndarray]:
    """Labels of the regions at each scale, int64 [H, W], numbered in the order of their first pixels.

    Args:
        image: uint8 [H, W, 3].
        scales: scale and smallest size (pixels) of each segmentation; a larger scale makes larger regions.
        sigma: standard deviation (pixels) of the Gaussian that smooths the image before.
    """
    smooth_HW3 = ndimage.gaussian_filter(image * (1 / 255), (sigma, sigma, 0), mode="reflect")
    pixel_edges = PixelEdges(smooth_HW3)
    count = image.shape[0] * image.shape[1]
    pixels = Components(np.arange(count), np.ones(count, np.int64), np.zeros(count))
    smallest = min(scale for scale, _ in scales) / 255
    for _ in range(_PIXEL_ROUNDS):
        _advance(pixel_edges, pixels, smallest, final=False)

    roots, node_of_pixel = np.unique(pixels.of_node, return_inverse=True)
    edges = pixel_edges.contract(node_of_pixel, len(roots))
    common = Components(np.arange(len(roots)), pixels.size[roots], pixels.inner[roots])
    for _ in range(_COMMON_ROUNDS):
        _advance(edges, common, smallest, final=False)
        edges.close(common.of_node)

    results = []
    for scale, min_size in scales:
        components = common.copy()
        _grow(copy.copy(edges), components, scale / 255)
        _join_small(copy.copy(edges), components, min_size)
        pixels.of_node = roots[components.of_node][node_of_pixel]
        results.append(pixels.numbered().reshape(image.shape[:2]))
    return results


def _grow(edges: NodeEdges, components: Components, scale: float) -> None:
    """Merge along every edge that both its components allow."""
    for _ in _rounds(edges):
        frozen = _advance(edges, components, scale, final=True)
        edges.close(components.of_node, either=frozen)
    # The few that are left, or many that hang together in an unlucky way: one by one, as the authors do.
    frozen_ones: set[int] = set()
    for *nodes, weight in edges.open():
        ends = [components.find(node) for node in nodes]
        if ends[0] == ends[1]:
            continue
        limits = [_limit(float(components.inner[end]), int(components.size[end]), scale) for end in ends]
        stay = [end for end, limit in zip(ends, limits, strict=True) if end in frozen_ones or weight >= limit]
        frozen_ones.update(stay)
        if not stay:
            components.inner[components.join_two(*ends)] = weight
    components.settle()


def _join_small(edges: NodeEdges, components: Components, min_size: int) -> None:
    """Merge along every edge that has a component below a size at one of its ends, again lightest first."""
    size = components.size
    edges.close(components.of_node, both=size >= min_size)
    for _ in _rounds(edges):
        lightest = edges.lightest(components.of_node)
        choosing = np.flatnonzero((lightest < len(edges.weight)) & (size < min_size))
        taken, root = _trees(edges, components.of_node, choosing, lightest)
        np.add.at(size, root, size[taken])
        components.join(taken, root)
        edges.close(components.of_node, both=size >= min_size)
    for low, high, _ in edges.open():
        one, other = components.find(low), components.find(high)
        if one != other and (size[one] < min_size or size[other] < min_size):
            components.join_two(one, other)
    components.settle()


def _rounds(edges: NodeEdges) -> Iterator[None]:
    """As long as many edges are open, and each round closes some share of them."""
    before = math.inf
    while _FEW_EDGES < len(edges) <= _MOST_LEFT * before:
        before = len(edges)
        yield


def _advance(edges: PixelEdges | NodeEdges, components: Components, scale: float, *, final: bool) -> np.ndarray:
    """One round; returns which components are frozen at this scale, bool [N].

    Args:
        final: no larger scale goes on from here, so that the edges of the frozen get closed.
    """
    lightest = edges.lightest(components.of_node)
    choosing = np.flatnonzero(lightest < len(edges.weight))
    limits = _limits(components.inner[choosing], components.size[choosing], scale)
    stays = edges.weight[lightest[choosing]] >= limits
    frozen = np.zeros(len(lightest), bool)
    frozen[choosing[stays]] = True
    if final and isinstance(edges, NodeEdges):
        edges.close(components.of_node, either=frozen)
    taken, root = _trees(edges, components.of_node, choosing[~stays], lightest, frozen)
    if len(taken):
        frozen[_take_in(edges, components, scale, (taken, root, lightest[taken]))] = True
    return frozen


def _trees(
    edges: PixelEdges | NodeEdges,
    of_node: np.ndarray,
    choosing: np.ndarray,
    lightest: np.ndarray,
    frozen: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Components whose chosen edge comes before any that leaves the tree of choices, and the roots of their trees.

    Args:
        choosing: the components that choose their lightest edge, int64.
        lightest: of each component, int64 [N].
        frozen: those that nobody can choose, bool [N].
    """
    low, high = edges.ends(lightest[choosing])
    chosen = of_node[low] + of_node[high] - choosing
    if frozen is not None:
        free = ~frozen[chosen]
        choosing, chosen = choosing[free], chosen[free]
    root = np.arange(len(lightest))
    root[choosing] = chosen
    # Where two chose each other, the lower is the root.
    both = choosing[(root[chosen] == choosing) & (choosing < chosen)]
    root[both] = both
    below, at = choosing, root[choosing]
    while len(below):
        further = root[at]
        moved = np.flatnonzero(further != at)
        below, at = below[moved], further[moved]
        root[below] = at
    at = root[choosing]
    leaving = edges.lightest(root[of_node])
    taken = np.flatnonzero((at != choosing) & (lightest[choosing] < leaving[at]))
    return choosing[taken], at[taken]


def _take_in(
    edges: PixelEdges | NodeEdges,
    components: Components,
    scale: float,
    taken: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Merge components into roots along edges, as far as each root allows; returns the roots that froze."""
    component, root, edge = taken
    order = np.argsort(root * len(edges.weight) + edge)
    component, root, weight = component[order], root[order], edges.weight[edge[order]]
    begins = np.ones(len(root), bool)
    np.not_equal(root[1:], root[:-1], out=begins[1:])
    starts, group = np.flatnonzero(begins), np.cumsum(begins) - 1
    size = components.size[component]
    after = np.cumsum(size)
    after += (components.size[root[starts]] - (after - size)[starts])[group]
    inner = np.empty_like(weight)
    inner[1:] = weight[:-1]
    inner[starts] = components.inner[root[starts]]
    refused = weight >= _limits(inner, after - size, scale)
    position = np.arange(len(root))
    stop = np.minimum.reduceat(np.where(refused, position, len(root)), starts)
    merged = position < stop[group]
    component, into = component[merged], root[merged]
    # In their order: of several values of one root the last one stays.
    components.size[into], components.inner[into] = after[merged], weight[merged]
    components.join(component, into)
    return root[starts[stop < len(root)]]


def _limits(inner: np.ndarray, size: np.ndarray, scale: float) -> np.ndarray:
    """Edges below this merge; rounded to float32, as scikit-image has it."""
    return (inner + scale / size).astype(np.float32).astype(np.float64)


def _limit(inner: float, size: int, scale: float) -> float:
    return float(np.float32(inner + scale / size))
