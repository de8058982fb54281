"""Mask non-maximum suppression that compares few masks, or none."""

import numpy as np

from pipeline.masks.masks import Masks


def suppress(intersections: np.ndarray, areas: np.ndarray, max_iou: float, count: int) -> np.ndarray:
    """Indices of what is kept of K regions, int64: IoU of at most `max_iou` with everything kept before.

    Args:
        intersections: pixels that each two regions have in common, int [K, K], the best region first.
        areas: pixels of each region, all above 0, int [K].
        count: at most this many are kept.
    """
    unions = areas[:, None] + areas - intersections
    # As pycocotools and `filtering.keep` do: the quotient in float64, compared as float32.
    overlap = (intersections / unions).astype(np.float32) > max_iou
    dropped = np.zeros(len(areas), bool)
    kept: list[int] = []
    for index in range(len(areas)):
        if len(kept) == count:
            break
        if not dropped[index]:
            kept.append(index)
            dropped |= overlap[index]
    return np.array(kept, np.int64)


def suppress_masks(masks: Masks, max_iou: float) -> np.ndarray:
    """Indices of what is kept of K masks, int64: IoU of at most `max_iou` with everything kept before.

    Masks are compared only where their boxes and areas leave open whether they overlap more.

    Args:
        masks: K masks, the best first, none of them empty.
    """
    open_KK = _may_overlap(masks, max_iou)
    kept: list[int] = []
    for index in range(len(masks)):
        rivals = [other for other in kept if open_KK[index, other]]
        if not rivals or (masks.select([index]).iou(masks.select(rivals)) <= max_iou).all():
            kept.append(index)
    return np.array(kept, np.int64)


def _may_overlap(masks: Masks, max_iou: float) -> np.ndarray:
    """Whether the IoU of two masks is above `max_iou` if they share as much as they can, [K, K]."""
    boxes = masks.boxes().astype(np.int64)
    corners = np.maximum(boxes[:, None, :2], boxes[:, :2])
    sides = np.maximum(np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - corners, 0)
    areas = masks.areas
    most = np.minimum(sides.prod(axis=2), np.minimum(areas[:, None], areas))
    return (most / (areas[:, None] + areas - most)).astype(np.float32) > max_iou
