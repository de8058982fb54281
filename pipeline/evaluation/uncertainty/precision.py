"""AP of resampled images: what `pipeline.evaluation.average_precision` counts, of all resamplings at once.

Precision is read off only where a detection takes an object; between those, it is enough to know how many detections
were wrong. Most are wrong at every threshold, and counted once for all of them by a sparse matrix.

An image that is drawn twice counts as two images with equal detections. Detections of equal scores keep the order that
they have without drawing.

Shape suffixes: B resamplings, I images, C classes, T thresholds, N detections, S detections that are looked at.
"""

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from pipeline.evaluation.average_precision import RECALLS, detections_by_class, threshold_bits
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.instance_matching import SIZES, THRESHOLDS
from pipeline.evaluation.object_scores import found_instances
from pipeline.evaluation.uncertainty.resampling import Figures, class_means
from pipeline.evaluation.uncertainty.sums import ImageSums, image_indices

_GROUPS = {"r": "ap_rare", "c": "ap_common", "f": "ap_frequent"}


class InstanceFigures:
    """AP, AP50, AP75, AP by size, in LVIS also of rare, common and frequent classes; AP of each class."""

    def __init__(
        self, detections: pa.Table, truth: pa.Table, images: pa.Array, classes: int, objects: ObjectClasses
    ) -> None:
        """Take rows of `schemas.DETECTIONS`, of one branch, and of `schemas.TRUE_OBJECTS`."""
        by_size = truth["instances"].combine_chunks().flatten().to_numpy().reshape(-1, len(SIZES))
        self._objects = ImageSums(truth, dict(zip(SIZES, by_size.T, strict=True)), images, classes)
        self.images_of_class = self._objects.images_with(SIZES[0])
        self._groups: dict[str, np.ndarray] = {}
        if objects.frequencies is not None:
            group = np.array(objects.frequencies)
            self._groups = {name: group == frequency for frequency, name in _GROUPS.items()}
        chosen, places = image_indices(detections, images)
        found, order = found_instances(detections.filter(pa.array(chosen)))
        places = places[order]
        self._classes: dict[str, list[_ClassDetections]] = {size: [] for size in SIZES}
        for of_class in detections_by_class(found, classes):
            for index, size in enumerate(SIZES):
                matched_NT, ignored_NT = (
                    threshold_bits(bits[of_class, index]) for bits in (found.matched, found.ignored)
                )
                self._classes[size].append(_ClassDetections(matched_NT, ignored_NT, places[of_class], len(images)))

    def figures(self, weights_BI: np.ndarray) -> Figures:
        """See `ImageFigures`."""
        weights_IB = np.ascontiguousarray(weights_BI.T)
        objects = self._objects.sums(weights_BI)
        precisions = {}
        for size, of_classes in self._classes.items():
            objects_CB = objects[size].T
            each_BT = [found.precisions(weights_IB, objects_CB[label]) for label, found in enumerate(of_classes)]
            precisions[size] = np.stack(each_BT, axis=1)
        precision_BCT = precisions[SIZES[0]]
        ap_BC = precision_BCT.mean(axis=2)
        headline = {"ap": class_means(ap_BC)}
        headline |= {name: class_means(precision_BCT[..., index]) for name, index in (("ap50", 0), ("ap75", 5))}
        headline |= {f"ap_{size}": class_means(precisions[size].mean(axis=2)) for size in SIZES[1:]}
        headline |= {name: class_means(ap_BC[:, group]) for name, group in self._groups.items()}
        return Figures(headline, {"ap": ap_BC})


class _ClassDetections:
    """The detections of one class, the best first."""

    def __init__(self, matched_NT: np.ndarray, ignored_NT: np.ndarray, places_N: np.ndarray, images: int) -> None:
        wrong_NT, right_NT = ~matched_NT & ~ignored_NT, matched_NT & ~ignored_NT
        always_N = wrong_NT.all(axis=1)
        looked_at_S = np.flatnonzero(~always_N & ~ignored_NT.all(axis=1))
        # After the last that is looked at, nothing is read off.
        wrong = np.flatnonzero(always_N)
        next_S = np.searchsorted(looked_at_S, wrong)
        before = next_S < len(looked_at_S)
        cells = next_S[before], places_N[wrong[before]]
        self._wrong = csr_array((np.ones(len(cells[0])), cells), shape=(len(looked_at_S), images))
        self._right_TS, self._wrong_TS = right_NT[looked_at_S].T, wrong_NT[looked_at_S].T
        self._places_S = places_N[looked_at_S]

    def precisions(self, weights_IB: np.ndarray, objects_B: np.ndarray) -> np.ndarray:
        """AP at each threshold, float64 [B,T]; nan where no object counts."""
        precision_BT = np.where(objects_B[:, None] > 0, np.zeros(len(THRESHOLDS)), np.nan)
        weights_SB = weights_IB[self._places_S]
        before_SB = np.cumsum(self._wrong @ weights_IB, axis=0)
        for threshold, (right_S, wrong_S) in enumerate(zip(self._right_TS, self._wrong_TS, strict=True)):
            if right_S.any():
                wrong_SB = before_SB + np.cumsum(weights_SB * wrong_S[:, None], axis=0)
                precision_BT[:, threshold] += _read_off(weights_SB[right_S], wrong_SB[right_S], objects_B)
        return precision_BT


def _read_off(weights_SB: np.ndarray, wrong_SB: np.ndarray, objects_B: np.ndarray) -> np.ndarray:
    """AP of detections that take an object, of which so many wrong ones are before each; float64 [B]."""
    right_SB = np.cumsum(weights_SB, axis=0)
    precision_SB = right_SB / (right_SB + wrong_SB + np.spacing(1))
    precision_SB = np.maximum.accumulate(precision_SB[::-1], axis=0)[::-1]
    recall_SB = np.divide(right_SB, objects_B, out=np.zeros(right_SB.shape), where=objects_B > 0)
    # How many of the recalls 0, 0.01, … 1 are reached; rounding may miss by one, which is then too many.
    last_SB = (recall_SB * (len(RECALLS) - 1) + 1e-9).astype(np.int64)
    reached_SB = last_SB + (RECALLS[last_SB] <= recall_SB)
    return (precision_SB * np.diff(reached_SB, axis=0, prepend=0)).sum(axis=0) / len(RECALLS)
