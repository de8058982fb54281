"""A segmentation and the merges of its neighbouring regions, most similar first.

The grouping of selective search (Uijlings et al., IJCV 2013, sec. 3): the tree holds n regions of
the segmentation and up to n − 1 merges of two, each a candidate for an object.
"""

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import cv2
import numpy as np
from scipy import ndimage

from pipeline.proposals.borders import Borders, find_borders
from pipeline.proposals.working_image import COLOUR_BINS, TEXTURE_BINS, WorkingImage

_ALL_COLOURS = 3 * COLOUR_BINS


@dataclass(frozen=True)
class Similarity:
    """Weights of what makes two neighbours belong together; each term but the last is in 0..1.

    `colour` and `texture`: intersection of histograms; `size`: small regions merge first; `fill`:
    the two fill their common box; `edge`: minus the mean colour step across their common border.
    One of `colour` and `texture` is above 0.
    """

    colour: float
    texture: float
    size: float
    fill: float
    edge: float


class RegionTree:
    """The regions of a segmentation and their merges: M nodes, leaves first."""

    def __init__(self, image: WorkingImage, labels: np.ndarray, similarity: Similarity) -> None:
        """Merge until one region is left.

        Args:
            labels: int [H, W], the segmentation, regions numbered 0..n−1 and connected.
        """
        self._similarity = similarity
        self._frame = image.height * image.width
        self.leaves = leaves = int(labels.max()) + 1
        """Regions of the segmentation."""
        borders = find_borders(labels, image.steps, leaves)
        self._measure_leaves(image, labels, borders, leaves)
        self._merge_all(borders, leaves)
        self._number_leaves(leaves, labels)

    def mask(self, node: int) -> np.ndarray:
        """The region of a node, uint8 [H, W] of 0 and 255, with contiguous columns."""
        return cv2.inRange(self.order_WH, int(self.first[node]), int(self.end[node]) - 1).T

    def _measure_leaves(self, image: WorkingImage, labels: np.ndarray, borders: Borders, leaves: int) -> None:
        flat = labels.ravel()

        def histogram(bins: np.ndarray, count: int) -> np.ndarray:
            counts = np.bincount(flat * count + bins.ravel(), minlength=leaves * count)
            return counts.reshape(leaves, count)

        self.areas = np.bincount(flat, minlength=leaves).astype(np.float64)
        """Pixels, float64 [M]."""
        self.boxes = np.array(
            [
                (columns.start, rows.start, columns.stop, rows.stop)
                for rows, columns in ndimage.find_objects(labels + 1)
            ],
            np.float64,
        )
        """x0, y0, x1, y1 in pixels, x1 and y1 exclusive, float64 [M, 4]."""
        self.on_border = np.zeros(leaves)
        """Length of the region's outline that is the image's border, in pixels, [M]."""
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            self.on_border += np.bincount(side, minlength=leaves)
        sides, steps = borders.outlines(leaves)
        self.inner_outline = sides.astype(np.float64)
        """Length of the rest of the outline: pixel sides between the region and others, [M]."""
        self.contrast = steps / np.maximum(sides, 1)
        """Mean colour step across that part of the outline, in units of L*, [M]."""
        # Histograms that no weight asks for are left out: zero times anything adds nothing.
        histograms = []
        if self._similarity.colour:
            histograms += [histogram(image.colour_bins[..., channel], COLOUR_BINS) for channel in range(3)]
        if self._similarity.texture:
            histograms.append(histogram(image.texture_bins, TEXTURE_BINS))
        self._counts = np.zeros((2 * leaves - 1, sum(counts.shape[1] for counts in histograms)))
        np.concatenate(histograms, axis=1, out=self._counts[:leaves])
        self._shares = np.empty_like(self._counts)
        self._shares[:leaves] = self._counts[:leaves] / self.areas[:, None]

    def _merge_all(self, borders: Borders, leaves: int) -> None:
        """Merge the two most similar neighbours, again and again.

        Thousands of merges with a handful of neighbours each: lists of numbers are faster than
        arrays here, except for the histograms.
        """
        neighbours = borders.neighbours(leaves)
        queue = self._first_queue(borders)
        areas, on_border = self.areas.tolist(), self.on_border.tolist()
        boxes = [tuple(box) for box in self.boxes.tolist()]
        outlines, contrasts = self.inner_outline.tolist(), self.contrast.tolist()
        merged = [False] * (2 * leaves - 1)
        self._children: list[tuple[int, int]] = []
        frame, weights = self._frame, self._similarity
        size_weight, fill_weight, edge_weight = weights.size, weights.fill, weights.edge
        for node in range(leaves, 2 * leaves - 1):
            _, a, b = heappop(queue)
            while merged[a] or merged[b]:
                _, a, b = heappop(queue)
            merged[a] = merged[b] = True
            self._children.append((a, b))
            area = areas[a] + areas[b]
            areas.append(area)
            on_border.append(on_border[a] + on_border[b])
            (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes[a], boxes[b]
            x0, y0, x1, y1 = min(ax0, bx0), min(ay0, by0), max(ax1, bx1), max(ay1, by1)
            boxes.append((x0, y0, x1, y1))
            around = _join_neighbours(neighbours, a, b)
            outline, step = 0, 0.0
            for (other, border), alike in zip(around.items(), self._alike(a, b, node, area, around), strict=True):
                neighbours[other][node] = border
                sides, steps = border
                outline += sides
                step += steps
                other_area = areas[other]
                ox0, oy0, ox1, oy1 = boxes[other]
                box = ((x1 if x1 > ox1 else ox1) - (x0 if x0 < ox0 else ox0)) * (
                    (y1 if y1 > oy1 else oy1) - (y0 if y0 < oy0 else oy0)
                )
                value = (
                    alike
                    + size_weight * (1 - (area + other_area) / frame)
                    + fill_weight * (1 - (box - area - other_area) / frame)
                    - edge_weight * steps / sides
                )
                heappush(queue, (-value, other, node))
            neighbours.append(around)
            outlines.append(outline)
            contrasts.append(step / max(outline, 1))
        self.areas, self.on_border = np.array(areas), np.array(on_border)
        self.boxes = np.array(boxes)
        self.inner_outline, self.contrast = np.array(outlines, np.float64), np.array(contrasts)

    def _alike(self, a: int, b: int, node: int, area: float, others: dict[int, tuple[int, float]]) -> list[float]:
        """Histograms of a merge, and their weighted intersections with those of its neighbours."""
        counts, shares = self._counts, self._shares
        np.add(counts[a], counts[b], out=counts[node])
        share = np.divide(counts[node], area, out=shares[node])
        return self._intersections(np.minimum(shares.take(list(others), axis=0), share)).tolist()

    def _intersections(self, common: np.ndarray) -> np.ndarray:
        weights = self._similarity
        if not weights.texture:
            return weights.colour * np.add.reduce(common, axis=1) / 3
        if not weights.colour:
            return weights.texture * np.add.reduce(common, axis=1)
        colour = np.add.reduce(common[:, :_ALL_COLOURS], axis=1)
        return weights.colour * colour / 3 + weights.texture * np.add.reduce(common[:, _ALL_COLOURS:], axis=1)

    def _first_queue(self, borders: Borders) -> list[tuple[float, int, int]]:
        """A heap of all pairs of neighbouring leaves: minus their similarity, higher, lower."""
        weights, low, high = self._similarity, borders.low, borders.high
        alike = self._intersections(np.minimum(self._shares[low], self._shares[high]))
        corners = np.minimum(self.boxes[low, :2], self.boxes[high, :2])
        sides = np.maximum(self.boxes[low, 2:], self.boxes[high, 2:]) - corners
        area, other = self.areas[low], self.areas[high]
        values = (
            alike
            + weights.size * (1 - (area + other) / self._frame)
            + weights.fill * (1 - (sides.prod(axis=1) - area - other) / self._frame)
            - weights.edge * borders.steps / borders.sides
        )
        queue = list(zip((-values).tolist(), high.tolist(), low.tolist(), strict=True))
        heapify(queue)
        return queue

    def _number_leaves(self, leaves: int, labels: np.ndarray) -> None:
        """Number the leaves depth first, so that the leaves of each node are a range."""
        counts = [1] * leaves
        for a, b in self._children:
            counts.append(counts[a] + counts[b])
        first = [0] * len(counts)
        for node in range(len(counts) - 1, leaves - 1, -1):
            a, b = self._children[node - leaves]
            first[a] = first[node]
            first[b] = first[node] + counts[a]
        self.first = np.array(first)
        """The leaves of a node are those of `order_WH` from here, int64 [M] …"""
        self.end = self.first + np.array(counts)
        """… to here, exclusive, int64 [M]."""
        self.order_WH = self.first.astype(np.int32)[labels.T]
        """The leaf at each pixel, numbered depth first, int32 [W, H]."""


def _join_neighbours(neighbours: list[dict[int, tuple[int, float]]], a: int, b: int) -> dict[int, tuple[int, float]]:
    """The neighbours of a merge of `a` and `b`; the two are nobody's neighbours any more."""
    joined, others = neighbours[a], neighbours[b]
    del joined[b], others[a]
    for other in joined:
        del neighbours[other][a]
    for other, border in others.items():
        del neighbours[other][b]
        known = joined.get(other)
        joined[other] = (known[0] + border[0], known[1] + border[1]) if known else border
    neighbours[a] = neighbours[b] = {}
    return joined
