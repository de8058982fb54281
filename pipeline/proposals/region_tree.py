"""A segmentation and the merges of its neighbouring regions, most similar first.

The grouping of selective search (Uijlings et al., IJCV 2013, sec. 3): the tree holds n regions of
the segmentation and up to n − 1 merges of two, each a candidate for an object.
"""

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

_COLOUR_BINS = 20
_TEXTURE_BINS = 32


@dataclass(frozen=True)
class Similarity:
    """Weights of what makes two neighbours belong together; each term but the last is in 0..1.

    `colour` and `texture`: intersection of histograms; `size`: small regions merge first; `fill`:
    the two fill their common box; `edge`: minus the mean colour step across their common border.
    """

    colour: float
    texture: float
    size: float
    fill: float
    edge: float


class WorkingImage:
    """What a tree needs to know of an image, once for all its segmentations."""

    def __init__(self, image: np.ndarray) -> None:
        """Measure `image`, uint8 [H, W, 3] RGB."""
        lab_HW3 = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        self.height, self.width = image.shape[:2]
        self.lab = lab_HW3
        """CIE L*a*b*, float32 [H, W, 3]."""
        smooth_HW3 = cv2.GaussianBlur(lab_HW3, (0, 0), 1.0)
        self.steps = tuple(np.sqrt((np.diff(smooth_HW3, axis=axis) ** 2).sum(axis=2)) for axis in (1, 0))
        """Colour difference to the right [H, W − 1] and downwards [H − 1, W], in units of L*."""
        scaled = (lab_HW3 + np.array([0, 80, 80], np.float32)) / np.array([100, 160, 160], np.float32) * _COLOUR_BINS
        self.colour_bins = np.clip(scaled, 0, _COLOUR_BINS - 1).astype(np.int64)
        """Bin of each pixel in the histogram of each channel, int64 [H, W, 3]."""
        light_HW = cv2.GaussianBlur(lab_HW3[..., 0], (0, 0), 0.8)
        x = cv2.Sobel(light_HW, cv2.CV_32F, 1, 0)
        y = cv2.Sobel(light_HW, cv2.CV_32F, 0, 1)
        direction = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 8).astype(np.int64) % 8
        strength = np.minimum(np.log2(1 + np.hypot(x, y) / 4).astype(np.int64), 3)
        self.texture_bins = direction * 4 + strength
        """Bin of each pixel in the histogram of gradients, int64 [H, W]: 8 directions × 4 strengths."""


class RegionTree:
    """The regions of a segmentation and their merges: M nodes, leaves first."""

    def __init__(self, image: WorkingImage, labels: np.ndarray, similarity: Similarity) -> None:
        """Merge until one region is left.

        Args:
            labels: int [H, W], the segmentation, regions numbered 0..n−1 and connected.
        """
        self._similarity = similarity
        self._frame = image.height * image.width
        leaves = int(labels.max()) + 1
        nodes = 2 * leaves - 1
        self._parent = np.full(nodes, -1)
        self._children: list[tuple[int, int]] = []
        self._measure_leaves(image, labels, leaves, nodes)
        self._merge_all(leaves)
        self._number_leaves(leaves, labels)

    def mask(self, node: int) -> np.ndarray:
        """The region of a node, bool [H, W]."""
        return (self._order_HW >= self._first[node]) & (self._order_HW < self._end[node])

    def _measure_leaves(self, image: WorkingImage, labels: np.ndarray, leaves: int, nodes: int) -> None:
        flat = labels.ravel()

        def histogram(bins: np.ndarray, count: int) -> np.ndarray:
            result = np.zeros((nodes, count), np.float32)
            counts = np.bincount(flat * count + bins.ravel(), minlength=leaves * count)
            result[:leaves] = counts.reshape(leaves, count)
            return result

        self.areas = np.zeros(nodes)
        """Pixels, float64 [M]."""
        self.areas[:leaves] = np.bincount(flat, minlength=leaves)
        self._colours = np.concatenate([histogram(image.colour_bins[..., c], _COLOUR_BINS) for c in range(3)], axis=1)
        self._textures = histogram(image.texture_bins, _TEXTURE_BINS)
        self.boxes = np.zeros((nodes, 4))
        """x0, y0, x1, y1 in pixels, x1 and y1 exclusive, float64 [M, 4]."""
        self.boxes[:leaves] = [
            (columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ndimage.find_objects(labels + 1)
        ]
        self.on_border = np.zeros(nodes)
        """Length of the region's outline that is the image's border, in pixels, [M]."""
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            self.on_border[:leaves] += np.bincount(side, minlength=leaves)
        self.inner_outline = np.zeros(nodes)
        """Length of the rest of the outline: pixel sides between the region and others, [M]."""
        self.contrast = np.zeros(nodes)
        """Mean colour step across that part of the outline, in units of L*, [M]."""
        self._neighbours = _neighbours(image, labels, leaves)
        for node in range(leaves):
            self._measure_outline(node)

    def _measure_outline(self, node: int) -> None:
        around = self._neighbours[node].values()
        length = sum(sides for sides, _ in around)
        self.inner_outline[node] = length
        self.contrast[node] = sum(steps for _, steps in around) / max(length, 1)

    def _merge_all(self, leaves: int) -> None:
        queue: list[tuple[float, int, int]] = []
        for node in range(leaves):
            self._enqueue(queue, node, [other for other in self._neighbours[node] if other > node])
        while queue:
            _, a, b = heapq.heappop(queue)
            if self._parent[a] >= 0 or self._parent[b] >= 0:
                continue
            node = leaves + len(self._children)
            self._children.append((a, b))
            self._parent[[a, b]] = node
            for total in (self.areas, self._colours, self._textures, self.on_border):
                total[node] = total[a] + total[b]
            self.boxes[node, :2] = np.minimum(self.boxes[a, :2], self.boxes[b, :2])
            self.boxes[node, 2:] = np.maximum(self.boxes[a, 2:], self.boxes[b, 2:])
            self._join_neighbours(a, b, node)
            self._measure_outline(node)
            self._enqueue(queue, node, list(self._neighbours[node]))

    def _join_neighbours(self, a: int, b: int, node: int) -> None:
        joined = self._neighbours[a]
        for other, (sides, steps) in self._neighbours[b].items():
            known_sides, known_steps = joined.get(other, (0, 0.0))
            joined[other] = (known_sides + sides, known_steps + steps)
        del joined[a], joined[b]
        self._neighbours.append(joined)
        self._neighbours[a] = self._neighbours[b] = {}
        for other, border in joined.items():
            around = self._neighbours[other]
            around.pop(a, None)
            around.pop(b, None)
            around[node] = border

    def _enqueue(self, queue: list[tuple[float, int, int]], node: int, others: list[int]) -> None:
        if others:
            for other, value in zip(others, self._similarities(node, others), strict=True):
                heapq.heappush(queue, (-value, other, node))

    def _similarities(self, node: int, others: list[int]) -> list[float]:
        weights = self._similarity
        area, areas = self.areas[node], self.areas[others]
        colour = np.minimum(self._colours[node] / area, self._colours[others] / areas[:, None]).sum(axis=1)
        texture = np.minimum(self._textures[node] / area, self._textures[others] / areas[:, None]).sum(axis=1)
        corners = np.minimum(self.boxes[node, :2], self.boxes[others, :2])
        sides = np.maximum(self.boxes[node, 2:], self.boxes[others, 2:]) - corners
        borders = np.array([self._neighbours[node][other] for other in others])
        return (
            weights.colour * colour / 3
            + weights.texture * texture
            + weights.size * (1 - (area + areas) / self._frame)
            + weights.fill * (1 - (sides.prod(axis=1) - area - areas) / self._frame)
            - weights.edge * borders[:, 1] / borders[:, 0]
        ).tolist()

    def _number_leaves(self, leaves: int, labels: np.ndarray) -> None:
        """Number the leaves depth first, so that the leaves of each node are a range."""
        counts = np.ones(len(self._parent), np.int64)
        for merge, (a, b) in enumerate(self._children):
            counts[leaves + merge] = counts[a] + counts[b]
        self._first = np.zeros(len(self._parent), np.int64)
        for merge in range(len(self._children) - 1, -1, -1):
            a, b = self._children[merge]
            self._first[a] = self._first[leaves + merge]
            self._first[b] = self._first[a] + counts[a]
        self._end = self._first + counts
        self._order_HW = self._first[labels]


def _neighbours(image: WorkingImage, labels: np.ndarray, leaves: int) -> list[dict[int, tuple[int, float]]]:
    """Per region its neighbours, with the pixel sides in common and the sum of the steps there."""
    pairs, steps = [], []
    for one, other, step in (
        (labels[:, :-1], labels[:, 1:], image.steps[0]),
        (labels[:-1], labels[1:], image.steps[1]),
    ):
        differ = one != other
        low, high = np.minimum(one, other)[differ], np.maximum(one, other)[differ]
        pairs.append(low * leaves + high)
        steps.append(step[differ])
    codes, borders, sides = np.unique(np.concatenate(pairs), return_inverse=True, return_counts=True)
    totals = np.bincount(borders, np.concatenate(steps), minlength=len(codes))
    result: list[dict[int, tuple[int, float]]] = [{} for _ in range(leaves)]
    for code, count, total in zip(codes.tolist(), sides.tolist(), totals.tolist(), strict=True):
        low, high = divmod(code, leaves)
        result[low][high] = result[high][low] = (count, total)
    return result
