"""Which detections of an image match which of its objects, by the rules of COCO's and of LVIS's evaluators.

Detections of a class, the best first, each take the free object of the highest IoU that is at least a threshold. An
object that does not count (a crowd, or of another size than the range that is looked at) is taken only if no other can
be, and a detection that takes it does not count either; a crowd can be taken by any number. The overlap with a crowd is
the share of the detection that it covers. LVIS was labelled class by class: see `TrueInstances.checked`.

Shape suffixes: Q masks, N detections, I objects, A ranges of areas, T thresholds, G objects that a detection may take.
"""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.evaluation.datasets.objects import TrueInstances
from pipeline.masks.masks import Masks
from pipeline.segmentation.objects import Instances

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Of the IoU."""
SIZES = ("all", "small", "medium", "large")
_AREAS_A2 = np.array([(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)])
"""Pixels, both ends in the range."""
_REACHED = np.minimum(THRESHOLDS, 1 - 1e-10)
_BITS = (1 << np.arange(len(THRESHOLDS))).astype(np.uint16)


@dataclass(frozen=True)
class Detections:
    """N detections of an image that count for something, the best first."""

    labels: np.ndarray
    """int64 [N]."""
    scores: np.ndarray
    """float32 [N]."""
    matched: np.ndarray
    """uint16 [N,A]: bit t, whether it takes an object at threshold t."""
    ignored: np.ndarray
    """uint16 [N,A]: bit t, whether it does not count at threshold t."""


def overlaps(masks: Masks, truth: TrueInstances) -> np.ndarray:
    """IoU of every mask with every object, float64 [Q,I]; with a crowd, the share of the mask that is in it."""
    if not len(masks) or not len(truth.masks):
        return np.zeros((len(masks), len(truth.masks)))
    if masks.size != truth.masks.size:
        raise ValueError(f"masks of frames (height, width) {masks.size} and {truth.masks.size} cannot be compared")
    codes, true_codes = ([{"size": list(masks.size), "counts": code} for code in some] for some in (masks, truth.masks))
    return coco_mask.iou(codes, true_codes, truth.crowd.astype(np.uint8).tolist())


def objects_of_sizes(truth: TrueInstances) -> np.ndarray:
    """Which objects count in which range of areas, bool [A,I]."""
    low_A1, high_A1 = _AREAS_A2.T[..., None]
    return (truth.areas >= low_A1) & (truth.areas <= high_A1) & ~truth.crowd


def match_instances(
    found: Instances, areas_Q: np.ndarray, overlaps_QI: np.ndarray, truth: TrueInstances, most_of_class: int | None
) -> Detections:
    """Match the detections of one image.

    Args:
        found: pairs of masks and classes, in any order.
        areas_Q: pixels of the masks.
        overlaps_QI: see `overlaps`.
        most_of_class: detections of a class that are looked at; None: all.
    """
    order = np.argsort(-found.scores, kind="stable")
    labels_N = found.labels[order]
    looked_at = np.ones(len(order), bool)
    if truth.checked is not None:
        looked_at &= np.isin(labels_N, list(truth.checked))
    if most_of_class is not None and len(order) > most_of_class:
        looked_at &= _ranks(labels_N) < most_of_class
    order, labels_N = order[looked_at], labels_N[looked_at]
    masks_N = found.masks[order]
    counts_AI = objects_of_sizes(truth)
    iou_NI = np.where(labels_N[:, None] == truth.labels, overlaps_QI[masks_N], -1.0)
    matched_NAT, ignored_NAT = _take(iou_NI, counts_AI, truth.crowd)
    low_1A, high_1A = _AREAS_A2.T[:, None]
    areas_N1 = areas_Q[masks_N][:, None]
    excused_NA = (areas_N1 < low_1A) | (areas_N1 > high_1A)
    if truth.not_exhaustive:
        excused_NA |= np.isin(labels_N, list(truth.not_exhaustive))[:, None]
    ignored_NAT |= ~matched_NAT & excused_NA[..., None]
    return Detections(labels_N, found.scores[order], matched_NAT @ _BITS, ignored_NAT @ _BITS)


def _ranks(labels_N: np.ndarray) -> np.ndarray:
    """How many detections of the same class come before each, int64 [N]."""
    order = np.argsort(labels_N, kind="stable")
    ordered = labels_N[order]
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return ranks


def _take(iou_NI: np.ndarray, counts_AI: np.ndarray, crowd_I: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each detection takes an object, and whether one that does not count, bool [N,A,T].

    Args:
        iou_NI: below 0 for objects of other classes.
    """
    shape = (len(iou_NI), len(SIZES), len(THRESHOLDS))
    matched_NAT, ignored_NAT = np.zeros((2, *shape), bool)
    free_ATI = np.ones((*shape[1:], iou_NI.shape[1]), bool)
    reach_NI = iou_NI >= _REACHED[0]
    for n in np.flatnonzero(reach_NI.any(axis=1)).tolist():
        objects_G = np.flatnonzero(reach_NI[n])
        iou_G = iou_NI[n, objects_G]
        free_ATG = free_ATI[..., objects_G] & (iou_G >= _REACHED[:, None])
        if len(objects_G) == 1:
            taken_ATG = free_ATG
        else:
            counts_A1G = counts_AI[:, None, objects_G]
            better_ATG = free_ATG & counts_A1G
            among_ATG = np.where(better_ATG.any(axis=2, keepdims=True), better_ATG, free_ATG)
            # Of equal ones the last.
            best_AT1 = len(iou_G) - 1 - np.where(among_ATG, iou_G, -1.0)[..., ::-1].argmax(axis=2)[..., None]
            taken_ATG = among_ATG & (np.arange(len(iou_G)) == best_AT1)
        matched_NAT[n] = taken_ATG.any(axis=2)
        ignored_NAT[n] = (taken_ATG & ~counts_AI[:, None, objects_G]).any(axis=2)
        free_ATI[..., objects_G] &= ~taken_ATG | crowd_I[objects_G]
    return matched_NAT, ignored_NAT
