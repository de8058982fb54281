"""How well proposals cover known objects."""

from dataclasses import dataclass

import numpy as np

from pipeline.masks.masks import Masks

SMALL_AREA = 32**2
"""Objects below this many pixels are small, below MEDIUM_AREA medium, others large (COCO)."""
MEDIUM_AREA = 96**2


def best_overlaps(objects: Masks, proposals: Masks) -> np.ndarray:
    """Per object the IoU of the proposal that covers it best, float32 [objects]; 0 without any.

    A proposal may serve several objects: the question is whether a good mask was offered.

    Raises:
        ValueError: they have different frames.
    """
    return objects.iou(proposals).max(axis=1, initial=0.0)


@dataclass(frozen=True)
class Recall:
    """Recall over a number of objects; nan where there are none."""

    objects: int
    mean_best_iou: float
    """Mean over objects of the best IoU; "average best overlap" of Uijlings et al. 2013, sec. 5."""
    at_50: float
    """Share of objects with a proposal of IoU ≥ 0.5."""
    at_75: float
    """Share of objects with a proposal of IoU ≥ 0.75."""


def recall(best: np.ndarray) -> Recall:
    """Recall from the best overlaps [objects] of one or more images."""
    if not len(best):
        return Recall(0, float("nan"), float("nan"), float("nan"))
    return Recall(
        objects=len(best),
        mean_best_iou=float(best.mean()),
        at_50=float((best >= 0.5).mean()),
        at_75=float((best >= 0.75).mean()),
    )


def recall_by_area(best: np.ndarray, areas: np.ndarray) -> dict[str, Recall]:
    """Recall of all, small, medium and large objects (COCO's limits), from their areas in pixels.

    Args:
        best: [objects] of `best_overlaps`, the images joined.
        areas: [objects].
    """
    small, medium = areas < SMALL_AREA, areas < MEDIUM_AREA
    return {
        "all": recall(best),
        "small": recall(best[small]),
        "medium": recall(best[medium & ~small]),
        "large": recall(best[~medium]),
    }
