"""Panoptic quality (arXiv 1801.00868), counted as panopticapi counts it.

A predicted and a true segment of one class match if their IoU is above ½; pixels that nobody labelled are not in the
union. PQ = Σ IoU of matches / (TP + ½·FP + ½·FN) = SQ · RQ, with SQ the mean IoU of the matches and RQ an F1 score. A
crowd is neither found nor missed, and a segment that matches nothing is no error if more than half of it lies on pixels
without label and on the crowd of its class (the last one, should an image have several).

Shape suffixes: S true segments, P predicted ones, C classes.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.datasets.objects import TrueSegments
from pipeline.segmentation.objects import PanopticSegments


@dataclass(frozen=True)
class PanopticCounts:
    """Of C classes."""

    iou: np.ndarray
    """Sum over the matches, float64 [C]."""
    tp: np.ndarray
    """Matches, int64 [C]."""
    fp: np.ndarray
    """Predicted segments that match none, int64 [C]."""
    fn: np.ndarray
    """True segments that match none, int64 [C]."""

    def __add__(self, other: "PanopticCounts") -> "PanopticCounts":
        return PanopticCounts(self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


@dataclass(frozen=True)
class PanopticScores:
    """Means over the classes that occur, as truth or as an error; 0..1, nan without any."""

    pq: float
    sq: float
    rq: float
    classes: int
    """How many occur."""


def count_segments(truth: TrueSegments, predicted: PanopticSegments, classes: int) -> PanopticCounts:
    """The counts of one image.

    Raises:
        ValueError: the images have different sizes.
    """
    if truth.ids.shape != predicted.ids.shape:
        raise ValueError(f"segments of images {truth.ids.shape} and {predicted.ids.shape} cannot be compared")
    count_S, count_P = len(truth.labels), len(predicted.labels)
    common = _common_pixels(truth.ids.ravel(), predicted.ids.ravel(), (count_S + 1, count_P + 1))
    common_SP, unlabelled_P = common[1:, 1:], common[0, 1:]
    areas_P = common[:, 1:].sum(axis=0)
    alike_SP = (truth.labels[:, None] == predicted.labels) & ~truth.crowd[:, None] & (common_SP > 0)
    union_SP = areas_P + truth.areas[:, None] - common_SP - unlabelled_P
    iou_SP = np.divide(common_SP, union_SP, out=np.zeros(common_SP.shape), where=alike_SP)
    match_SP = iou_SP > 0.5
    missed_S = ~match_SP.any(axis=1) & ~truth.crowd
    excused_P = unlabelled_P.copy()
    crowds = {int(truth.labels[s]): s for s in np.flatnonzero(truth.crowd).tolist()}
    for p, label in enumerate(predicted.labels.tolist()):
        if label in crowds:
            excused_P[p] += common_SP[crowds[label], p]
    wrong_P = ~match_SP.any(axis=0) & ~(excused_P > 0.5 * areas_P)
    matched_s, matched_p = np.nonzero(match_SP)
    found = truth.labels[matched_s]
    return PanopticCounts(
        np.bincount(found, iou_SP[matched_s, matched_p], minlength=classes),
        np.bincount(found, minlength=classes),
        np.bincount(predicted.labels[wrong_P], minlength=classes),
        np.bincount(truth.labels[missed_S], minlength=classes),
    )


def _common_pixels(true: np.ndarray, predicted: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How many pixels each of the true numbers shares with each of the predicted ones, int64 of this shape."""
    # Segments are connected: pixels that are alike in both are counted by the run.
    changes = (true[1:] != true[:-1]) | (predicted[1:] != predicted[:-1])
    starts = np.concatenate([np.zeros(min(len(true), 1), np.int64), np.flatnonzero(changes) + 1])
    lengths = np.diff(np.append(starts, len(true)))
    cells = true[starts] * np.int64(shape[1]) + predicted[starts]
    return np.bincount(cells, lengths, minlength=shape[0] * shape[1]).astype(np.int64).reshape(shape)


def panoptic_qualities(counts: PanopticCounts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PQ, SQ and RQ of each class, float64 [..., C] as the counts; nan for classes that do not occur, SQ 0 for those
    never found.
    """
    errors = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
    occurs = errors > 0
    pq, rq = (np.divide(values, errors, out=np.full(errors.shape, np.nan), where=occurs) for values in (
        counts.iou, counts.tp
    ))  # fmt: skip
    sq = np.where(occurs, 0.0, np.nan)
    np.divide(counts.iou, counts.tp, out=sq, where=counts.tp > 0)
    return pq, sq, rq


def panoptic_scores(counts: PanopticCounts, among: Collection[int]) -> PanopticScores:
    """Means over some classes: all, things or stuff."""
    pq, sq, rq = (values[sorted(among)] for values in panoptic_qualities(counts))
    occurs = np.isfinite(pq)
    if not occurs.any():
        return PanopticScores(float("nan"), float("nan"), float("nan"), 0)
    means = [float(values[occurs].mean()) for values in (pq, sq, rq)]
    return PanopticScores(means[0], means[1], means[2], int(occurs.sum()))
