"""The objects of one image, in the ways that `branches` names: which probabilities the classes of each mask get.

With true classes, a proposal gets as probability of a class its highest IoU with a true object of it: what an ideal
classifier could make of these masks. True masks get CLIP's.

Shape suffixes: Q proposals, U true masks, S true segments, I true instances, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.evaluation.datasets import LabelledImage
from pipeline.evaluation.datasets.objects import TrueInstances
from pipeline.evaluation.instance_matching import overlaps
from pipeline.masks.masks import Masks
from pipeline.masks.runs import Runs
from pipeline.segmentation import Prediction
from pipeline.segmentation.objects import class_probabilities


@dataclass(frozen=True)
class TrueMasks:
    """The masks of all true objects that can be found, each once."""

    masks: Masks
    """U masks."""
    of_segments: np.ndarray
    """Their indices, of the segments that are no crowds and have a pixel; int64."""
    segment_labels: np.ndarray
    """Classes of these segments, int64."""
    of_instances: np.ndarray
    """Their indices, of such instances; int64."""
    instance_labels: np.ndarray
    """Classes of these instances, int64."""


def true_object_masks(sample: LabelledImage) -> TrueMasks:
    """The masks of an image's objects."""
    index: dict[bytes, int] = {}
    none = np.zeros(0, np.int64)
    of_segments, segment_labels, of_instances, instance_labels = none, none, none, none
    if (segments := sample.segments) is not None:
        masks = masks_of_ids(segments.ids, len(segments.labels))
        real = np.flatnonzero(~segments.crowd & (masks.areas > 0))
        of_segments = _indices(index, [masks[s] for s in real.tolist()])
        segment_labels = segments.labels[real]
    if (instances := sample.instances) is not None:
        real = np.flatnonzero(~instances.crowd & (instances.masks.areas > 0))
        of_instances = _indices(index, [instances.masks[i] for i in real.tolist()])
        instance_labels = instances.labels[real]
    height, width = sample.labels.shape
    return TrueMasks(Masks(list(index), height, width), of_segments, segment_labels, of_instances, instance_labels)


def masks_of_ids(ids_HW: np.ndarray, count: int) -> Masks:
    """The masks of segments that do not overlap.

    Args:
        ids_HW: index of the segment plus one, 0: none; integers [H,W].
        count: of segments.
    """
    height, width = ids_HW.shape
    ids = ids_HW.T.ravel()
    begins = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    ends = np.append(begins[1:], len(ids))
    order = np.argsort(ids[begins], kind="stable")
    first = np.searchsorted(ids[begins][order], np.arange(1, count + 2))
    order = order[first[0] :]
    return Masks.of_runs([Runs(begins[order], ends[order], first - first[0], height, width)], height, width)


def _indices(index: dict[bytes, int], codes: Sequence[bytes]) -> np.ndarray:
    return np.array([index.setdefault(code, len(index)) for code in codes], np.int64)


def select(prediction: Prediction, indices: np.ndarray) -> Prediction:
    """The prediction of some of the masks, binary and not classified by the proposal model; indices may repeat."""
    rows_Q = np.cumsum(prediction.valid) - 1
    valid = prediction.valid[indices]
    return replace(
        prediction,
        masks=prediction.masks.select(indices),
        mask_logits=None,
        region_logits=prediction.region_logits[rows_Q[indices[valid]]],
        valid=valid,
        proposal_logits=None,
        neighbours=None,
    )


def probabilities_by_branch(prediction: Prediction, weight: float) -> dict[str, np.ndarray]:
    """`class_probabilities` [Q,C+1] of the proposals, in every way that they allow.

    Args:
        weight: λ of `fused`.
    """
    found = {"clip": class_probabilities(prediction, 1.0)}
    if prediction.proposal_logits is not None:
        found["proposals"] = class_probabilities(prediction, 0.0)
        found["fused"] = class_probabilities(prediction, weight)
    return found


def true_probabilities(overlaps_QX: np.ndarray, labels_X: np.ndarray, classes: int) -> np.ndarray:
    """By class the highest IoU with a true object of it, float32 [Q,C+1]; the last column is 0.

    Args:
        overlaps_QX: IoU of the proposals with true objects.
        labels_X: the classes of these, int64.
    """
    best_QC = np.zeros((len(overlaps_QX), classes + 1), np.float32)
    for label in np.unique(labels_X).tolist():
        best_QC[:, label] = overlaps_QX[:, labels_X == label].max(axis=1)
    return best_QC


def overlaps_with(masks: Masks, truth: Masks) -> np.ndarray:
    """IoU of every mask with every true one, float64 [Q,U]."""
    count = len(truth)
    return overlaps(masks, TrueInstances(truth, np.zeros(count, np.int64), np.zeros(count), np.zeros(count, bool)))
