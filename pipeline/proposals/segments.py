"""Backend `segments`: regions of even colour and texture, and their merges. Needs no weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from pipeline.configuration.limits import Limit
from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.masks.overlaps import iou_of_counts
from pipeline.masks.rle import Rle
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep, suppress
from pipeline.proposals.graph_segmentation import felzenszwalb
from pipeline.proposals.proposer import Proposals, check_image
from pipeline.proposals.region_overlaps import crossing, nested
from pipeline.proposals.region_tree import RegionTree, Similarity
from pipeline.proposals.working_image import WorkingImage

_RANKED_PER_PROPOSAL = 6


@dataclass(frozen=True)
class _Scale:
    """A segmentation of Felzenszwalb and Huttenlocher (IJCV 2004), and how its regions merge."""

    scale: float
    """Larger makes larger regions."""
    min_size: int
    """Smallest region, in pixels of the working image."""
    similarity: Similarity


# Chosen one after the other from 30 pairs of a scale and a similarity, each time the pair that adds
# most to the best overlaps with objects of COCO images. They differ in what they merge by, so that
# they do not fail together.
_SCALES = (
    _Scale(30, 20, Similarity(colour=1, texture=1, size=1, fill=1, edge=0.05)),
    _Scale(100, 20, Similarity(colour=1, texture=0, size=0.5, fill=0.5, edge=0.05)),
    _Scale(300, 60, Similarity(colour=0, texture=1, size=1, fill=1, edge=0)),
)

# Of the features of a region, for the score that ranks regions: the ridge regression that
# `python -m tests.benchmarks.proposals --fit` prints, which also measures it on images that it was
# not fitted to.
WEIGHTS = np.array([0.047, 0.194, 0.116, 0.030, 0.397, 0.016, -0.216, 0.018, 0.314, 0.011, -0.195])


class Regions:
    """The regions of an image at all scales that are within the area limits."""

    def __init__(self, small: np.ndarray, config: ProposalsConfig) -> None:
        """Segment a working image, uint8 [h, w, 3] RGB."""
        image = WorkingImage(small)
        frame = image.height * image.width
        self._size = image.height, image.width
        self._trees: list[RegionTree] = []
        usable, features = [], []
        segmentations = felzenszwalb(small, [(scale.scale, scale.min_size) for scale in _SCALES], sigma=0.8)
        for scale, labels in zip(_SCALES, segmentations, strict=True):
            tree = RegionTree(image, labels, scale.similarity)
            inside = (tree.areas >= config.min_area * frame) & (tree.areas <= config.max_area * frame)
            self._trees.append(tree)
            usable.append(np.flatnonzero(inside))
            features.append(_features(tree, frame)[inside])
        self._tree = np.repeat(np.arange(len(_SCALES)), [len(nodes) for nodes in usable])
        self._node = np.concatenate(usable)
        self.features = np.concatenate(features)
        """What the score looks at, float64 [K, 11]."""

    def masks(self, indices: np.ndarray) -> Iterator[np.ndarray]:
        """Some of the K regions, one after the other, uint8 [h, w] of 0 and 255."""
        for tree, node in zip(self._tree[indices].tolist(), self._node[indices].tolist(), strict=True):
            yield self._trees[tree].mask(node)

    def encode(self, indices: np.ndarray) -> Masks:
        """Masks of some of the K regions, in the frame of the working image."""
        return Masks([rle.encode(mask_HW[None])[0] for mask_HW in self.masks(indices)], *self._size)

    def distinct(self, indices: np.ndarray, config: ProposalsConfig) -> np.ndarray:
        """Those of some regions, best first, that overlap little enough with better ones; at most `max_proposals`."""
        trees, nodes = self._tree[indices], self._node[indices]
        areas = np.zeros(len(indices), np.int64)
        intersections = np.zeros((len(indices), len(indices)), np.int64)
        rows = [np.flatnonzero(trees == number) for number in range(len(self._trees))]
        for number, tree in enumerate(self._trees):
            areas[rows[number]] = tree.areas[nodes[rows[number]]]
            intersections[np.ix_(rows[number], rows[number])] = nested(tree, nodes[rows[number]])
            for other in range(number):
                shared = crossing(tree, nodes[rows[number]], self._trees[other], nodes[rows[other]])
                intersections[np.ix_(rows[number], rows[other])] = shared
                intersections[np.ix_(rows[other], rows[number])] = shared.T
        above = iou_of_counts(intersections, areas, areas) > config.max_iou
        count = len(indices)
        kept = suppress(
            np.arange(count),
            lambda rows, columns, asked: asked & above[np.ix_(rows, columns)],
            config.max_proposals,
            rows_per_block=count,
        )
        return indices[kept]


@dataclass
class SegmentsOptions:
    """The `segments` backend: regions of even colour and texture, and their merges. No weights."""

    working_side: Annotated[int, Limit(ge=16)] = 400
    """Longest side (px) at which regions are searched; larger finds smaller objects, slower."""


class Segments:
    """Felzenszwalb segmentations at three scales with their merges, ranked by how they look.

    Deterministic. The search runs on a copy of at most `working_side` pixels a side, so its time
    and memory do not grow with the image; each mask kept is then enlarged with smooth edges, one
    at a time. Beyond the image itself and at the default `working_side` that takes under 150 MB for
    an image of 6000 × 4000, whatever the number of proposals, and less for smaller ones.
    """

    options_class = SegmentsOptions
    learned = False

    def __init__(self, config: ProposalsConfig, options: SegmentsOptions, weights: np.ndarray = WEIGHTS) -> None:
        self._config = config
        self._options = options
        self._weights = weights
        self.batch_size = 1
        self.identity = {"name": "segments", "version": "1"}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Proposals of each image; a higher score means rather an object, see `WEIGHTS`.

        None for an image of one colour: its only region is the whole image.

        Args:
            images: uint8 [H, W, 3] RGB, of any sizes from 1 × 1.
            image_ids: one per image, not looked at.

        Raises:
            ValueError: an image is not such an array.
        """
        return [self._propose(image) for image, _ in zip(images, image_ids, strict=True)]

    def _propose(self, image: np.ndarray) -> Proposals:
        check_image(image)
        height, width = image.shape[:2]
        small = shrink(image, self._options.working_side)
        regions = Regions(small, self._config)
        scores = regions.features @ self._weights
        # Far more than are kept, and a bound for images that fall into thousands of regions.
        ranked = np.argsort(-scores, kind="stable")
        ranked = ranked[: _RANKED_PER_PROPOSAL * self._config.max_proposals]
        chosen = regions.distinct(ranked, self._config)
        if small.shape == image.shape:
            masks = regions.encode(chosen)
        else:
            masks = Masks([_enlarge(mask_hw, height, width) for mask_hw in regions.masks(chosen)], height, width)
            # Enlarging moves areas and overlaps a little: the limits hold for what is given out.
            kept = keep(masks, scores[chosen], self._config)
            masks, chosen = masks.select(kept), chosen[kept]
        return Proposals(masks, scores[chosen].astype(np.float32))


def _features(tree: RegionTree, frame: int) -> np.ndarray:
    """Of each node: area, contrast, roundness, share of its box, contact with the image's border,
    and how these go together with the area; [M, 11].
    """
    area = np.log(tree.areas / frame) / 5
    contrast = np.log1p(tree.contrast)
    outline = tree.inner_outline + tree.on_border
    roundness = 4 * np.pi * tree.areas / outline**2
    extent = tree.areas / (tree.boxes[:, 2:] - tree.boxes[:, :2]).prod(axis=1)
    border = tree.on_border / outline
    columns = [np.ones_like(area), area, area**2, contrast, roundness, extent, border]
    columns += [area * contrast, area * roundness, area * extent, area * border]
    return np.stack(columns, axis=1)


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """The working image: at most `side` pixels a side, never enlarged."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _enlarge(mask: np.ndarray, height: int, width: int) -> Rle:
    """A mask uint8 [h, w] of 0 and 255 in a larger frame; its outline is interpolated linearly."""
    # Turned on its side, since run-length codes go down the columns: saves turning the large one.
    grey_WH = cv2.resize(mask.T, (height, width), interpolation=cv2.INTER_LINEAR)
    inside_WH = (grey_WH > 127).view(np.uint8)
    return coco_mask.encode(inside_WH.T[..., None])[0]["counts"]
