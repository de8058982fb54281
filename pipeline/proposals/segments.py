"""Backend `segments`: regions of even colour and texture, and their merges. Needs no weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.segmentation import felzenszwalb

from pipeline import masks
from pipeline.masks import Rle
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.proposer import Proposals, check_image
from pipeline.proposals.region_tree import RegionTree, Similarity, WorkingImage

_RANKED_PER_PROPOSAL = 8


@dataclass(frozen=True)
class _Scale:
    """A segmentation of Felzenszwalb and Huttenlocher (IJCV 2004), and how its regions merge."""

    scale: float
    """Larger gives larger regions."""
    min_size: int
    """Smallest region, in pixels of the working image."""
    similarity: Similarity


# Of 30 pairs of a scale and a similarity, the three that together cover the objects of real COCO
# images best. They differ in what they merge by, so that they do not fail together.
_SCALES = (
    _Scale(30, 20, Similarity(colour=1, texture=1, size=1, fill=1, edge=0.05)),
    _Scale(100, 20, Similarity(colour=1, texture=0, size=0.5, fill=0.5, edge=0.05)),
    _Scale(300, 60, Similarity(colour=0, texture=1, size=1, fill=1, edge=0)),
)


# Ridge regression of a region's best IoU with an annotated object on `_features`.
_WEIGHTS = np.zeros(11)


class Segments:
    """Felzenszwalb segmentations at three scales with their merges, ranked by how they look.

    Deterministic. The search runs on a copy of at most `working_side` pixels a side, so its time
    and memory do not grow with the image; each mask kept is then enlarged with smooth edges, one
    at a time. Beyond the image itself that takes 6 bytes per pixel of the image (144 MB at
    6000 × 4000) and under 150 MB for the search at the default `working_side`.
    """

    def __init__(self, config: ProposalsConfig) -> None:
        self._config = config
        self.identity = {"name": "segments", "version": "1"}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Proposals of each image; the score estimates the IoU with an object.

        None for an image of one colour: its only region is the whole image.

        Args:
            images: uint8 [H, W, 3] RGB, of any sizes from 1 × 1.
            image_ids: one per image, not looked at.
        """
        return [self._propose(image) for image, _ in zip(images, image_ids, strict=True)]

    def _propose(self, image: np.ndarray) -> Proposals:
        check_image(image)
        height, width = image.shape[:2]
        small = _shrink(image, self._config.segments.working_side)
        small_height, small_width = small.shape[:2]
        rles, scores = self._candidates(small)
        kept = keep(rles, scores, small_height, small_width, self._config)
        rles, scores = [rles[place] for place in kept], scores[kept]
        if (small_height, small_width) != (height, width):
            rles = [
                _enlarge(masks.decode([rle], small_height, small_width)[0], height, width)
                for rle in rles
            ]
            # Enlarging moves areas and overlaps a little: the limits hold for what is given out.
            kept = keep(rles, scores, height, width, self._config)
            rles, scores = [rles[place] for place in kept], scores[kept]
        return Proposals(rles, height, width, scores.astype(np.float32))

    def _candidates(self, small: np.ndarray) -> tuple[list[Rle], np.ndarray]:
        """The best regions of all trees, in the frame of the working image, and their scores."""
        working = WorkingImage(small)
        frame = working.height * working.width
        trees, nodes, scores = [], [], []
        for scale in _SCALES:
            labels = felzenszwalb(small, scale=scale.scale, sigma=0.8, min_size=scale.min_size)
            tree = RegionTree(working, labels, scale.similarity)
            usable = np.flatnonzero(
                (tree.areas >= self._config.min_area * frame)
                & (tree.areas <= self._config.max_area * frame)
            )
            trees += [tree] * len(usable)
            nodes += usable.tolist()
            scores.append(_features(tree, working)[usable] @ _WEIGHTS)
        scores_K = np.concatenate(scores)
        # Far more than are kept, and a bound for images that fall into thousands of regions.
        best = np.argsort(-scores_K, kind="stable")
        best = best[: _RANKED_PER_PROPOSAL * self._config.max_proposals]
        rles = [masks.encode(trees[place].mask(nodes[place])[None])[0] for place in best]
        return rles, scores_K[best]


def _features(tree: RegionTree, image: WorkingImage) -> np.ndarray:
    """What the score looks at, [M, 11]: area, contrast, roundness, share of its box, contact with
    the image's border, and how they go together with the area.
    """
    frame = image.height * image.width
    area = np.log(tree.areas / frame) / 5
    contrast = np.log1p(tree.contrast)
    outline = tree.inner_outline + tree.on_border
    roundness = 4 * np.pi * tree.areas / outline**2
    extent = tree.areas / (tree.boxes[:, 2:] - tree.boxes[:, :2]).prod(axis=1)
    border = tree.on_border / outline
    columns = [np.ones_like(area), area, area**2, contrast, roundness, extent, border]
    columns += [area * contrast, area * roundness, area * extent, area * border]
    return np.stack(columns, axis=1)


def _shrink(image: np.ndarray, side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _enlarge(mask: np.ndarray, height: int, width: int) -> Rle:
    """A mask uint8 [h, w] of 0 and 1 in a larger frame; its outline is interpolated linearly."""
    grey = cv2.resize(mask * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    return masks.encode((grey > 127)[None])[0]
