"""Average precision of instance masks, as COCO's and LVIS's evaluators accumulate it.

The detections of a class, of all images, are sorted by their scores. Precision after each, made to fall only, is read
off at 101 recalls from 0 to 1, and is 0 at recalls that are never reached; AP is its mean, over these and the ten IoU
thresholds from 0.5 to 0.95. A class without objects that count has none.

Shape suffixes: C classes, N detections, A ranges of areas, T thresholds, R recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.evaluation.datasets.objects import Frequency
from pipeline.evaluation.instance_matching import SIZES, THRESHOLDS

RECALLS = np.linspace(0, 1, 101)
"""At which precision is read off."""
_BITS = (1 << np.arange(len(THRESHOLDS))).astype(np.uint16)


@dataclass(frozen=True)
class FoundInstances:
    """Detections of many images, image after image, those of an image the best first; see `Detections`."""

    labels: np.ndarray
    """int32 [N]."""
    scores: np.ndarray
    """float32 [N]."""
    matched: np.ndarray
    """uint16 [N,A]."""
    ignored: np.ndarray
    """uint16 [N,A]."""


@dataclass(frozen=True)
class InstanceScores:
    """Means over the classes that have objects; 0..1, nan without any."""

    ap: float
    ap50: float
    """At IoU 0.5."""
    ap75: float
    ap_small: float
    """Of objects up to 32² pixels."""
    ap_medium: float
    ap_large: float
    """Of objects from 96² pixels on."""
    ap_rare: float | None = None
    """Of LVIS's rare classes; None where the data set does not tell how frequent classes are."""
    ap_common: float | None = None
    ap_frequent: float | None = None


def class_precisions(found: FoundInstances, objects_CA: np.ndarray) -> np.ndarray:
    """AP of each class, range of areas and threshold, float64 [C,A,T]; nan where no object counts.

    Args:
        objects_CA: objects of each class that count in each range, int64.
    """
    precision_CAT = np.full((*objects_CA.shape, len(THRESHOLDS)), np.nan)
    by_class = detections_by_class(found, len(objects_CA))
    for label in np.flatnonzero(objects_CA.any(axis=1)).tolist():
        of_class = by_class[label]
        for size in np.flatnonzero(objects_CA[label]).tolist():
            matched_TN, ignored_TN = (threshold_bits(bits[of_class, size]).T for bits in (found.matched, found.ignored))
            read_TR = precision_at_recalls(matched_TN, ignored_TN, int(objects_CA[label, size]))
            precision_CAT[label, size] = read_TR.mean(axis=1)
    return precision_CAT


def mean_curves(found: FoundInstances, objects_C: np.ndarray) -> np.ndarray:
    """Precision–recall curves at each threshold, means over the classes that have objects, float64 [T,R].

    Args:
        found: of `SIZES`, all.
        objects_C: objects of each class that count, int64; at least one does.
    """
    by_class = detections_by_class(found, len(objects_C))
    labels = np.flatnonzero(objects_C).tolist()
    total_TR = np.zeros((len(THRESHOLDS), len(RECALLS)))
    for label in labels:
        matched_TN, ignored_TN = (threshold_bits(bits[by_class[label], 0]).T for bits in (found.matched, found.ignored))
        total_TR += precision_at_recalls(matched_TN, ignored_TN, int(objects_C[label]))
    return total_TR / len(labels)


def detections_by_class(found: FoundInstances, classes: int) -> list[np.ndarray]:
    """The indices of the detections of each class, the best first, int64."""
    order = np.lexsort((-found.scores, found.labels))  # stable
    borders = np.searchsorted(found.labels[order], np.arange(classes + 1))
    return [order[start:end] for start, end in pairwise(borders)]


def threshold_bits(bits_N: np.ndarray) -> np.ndarray:
    """What `Detections` says at each threshold, bool [N,T].

    Args:
        bits_N: uint16, of one range of areas.
    """
    return (bits_N[:, None] & _BITS) > 0


def precision_at_recalls(matched_TN: np.ndarray, ignored_TN: np.ndarray, objects: int) -> np.ndarray:
    """The precision–recall curve of a class at each threshold, read off at `RECALLS`, float64 [T,R].

    Args:
        matched_TN, ignored_TN: of its detections, the best first, bool; see `threshold_bits`.
        objects: that count, at least one.
    """
    right_TN = np.cumsum(matched_TN & ~ignored_TN, axis=1, dtype=np.float64)
    wrong_TN = np.cumsum(~matched_TN & ~ignored_TN, axis=1, dtype=np.float64)
    # The evaluators' own epsilon, where nothing was counted yet.
    precision_TN = right_TN / (right_TN + wrong_TN + np.spacing(1))
    precision_TN = np.maximum.accumulate(precision_TN[:, ::-1], axis=1)[:, ::-1]
    recall_TN = right_TN / objects
    read_TR = np.zeros((len(matched_TN), len(RECALLS)))
    for threshold, (recall_N, precision_N) in enumerate(zip(recall_TN, precision_TN, strict=True)):
        read = np.searchsorted(recall_N, RECALLS)
        read = read[read < len(recall_N)]
        read_TR[threshold, : len(read)] = precision_N[read]
    return read_TR


def instance_scores(precision_CAT: np.ndarray, frequencies: Sequence[Frequency] | None = None) -> InstanceScores:
    """Means over the classes.

    Args:
        precision_CAT: by `class_precisions`.
        frequencies: of the classes, in LVIS.
    """
    sizes = {size: _mean(precision_CAT[:, index]) for index, size in enumerate(SIZES)}
    every_CT = precision_CAT[:, 0]
    scores = (sizes["all"], _mean(every_CT[:, 0]), _mean(every_CT[:, 5]))
    of_sizes = (sizes["small"], sizes["medium"], sizes["large"])
    if frequencies is None:
        return InstanceScores(*scores, *of_sizes)
    group = np.array(frequencies)
    return InstanceScores(*scores, *of_sizes, *(_mean(every_CT[group == frequency]) for frequency in "rcf"))


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
