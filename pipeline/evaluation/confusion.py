"""Counts of labelled pixels by true and predicted class, and the scores that semantic segmentation reports.

With gt_c the pixels of class c, pred_c the counted pixels predicted as c, and tp_c those that are both:
IoU_c = tp_c / (gt_c + pred_c − tp_c) and accuracy_c = tp_c / gt_c. Two means of the IoU are in use, and papers do not
always say which. OVSeg's evaluator (and detectron2's until July 2022) divided the sum over present classes by the
number of classes that are present *or predicted*; later work divides by the number of present classes. They differ
where classes are absent from the ground truth: Pascal Context 459 lacks 114 of its classes in the validation split.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of

# Pixels looked at together: the intermediate arrays stay in the processor's cache.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Scores:
    """All between 0 and 1; nan where nothing was counted."""

    miou: float
    """Mean IoU over the classes with ground truth."""
    miou_gt_or_pred: float
    """The older formula: the sum of IoU over the classes with ground truth, divided by the number of classes with
    ground truth or predictions."""
    fwiou: float
    """IoU weighted by the ground truth pixels of each class."""
    macc: float
    """Mean accuracy over the classes with ground truth."""
    pacc: float
    """Share of the pixels that are right."""
    iou: np.ndarray
    """float64 [C], nan for classes without ground truth."""
    acc: np.ndarray
    """float64 [C], nan for classes without ground truth."""


@dataclass(frozen=True)
class ClassPixels:
    """Labelled pixels of one image by class, int64 [C]: all that the scores need of it."""

    correct: np.ndarray
    """Of the class, and predicted as it."""
    predicted: np.ndarray
    """Predicted as the class."""
    labelled: np.ndarray
    """Of the class."""


def class_shares(
    correct: np.ndarray, predicted: np.ndarray, labelled: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which classes have ground truth, and the IoU and accuracy of each; numbers of pixels as `ClassPixels` has them.

    Args:
        correct, predicted, labelled: [..., C].

    Returns:
        bool [..., C], and twice float64 [..., C], nan for classes without ground truth.
    """
    present = labelled > 0
    iou, acc = (
        np.divide(correct, pixels, out=np.full(present.shape, np.nan), where=present)
        for pixels in (labelled + predicted - correct, labelled)
    )
    return present, iou, acc


class ConfusionMatrix:
    """Counts pixels; exact in 64 bits.

    Attributes:
        counts: int64 [C, C+1]. Row: true class; column: predicted class, the last for pixels that were given none.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        """`ignore_index` is the true label of pixels that do not count. It must not be the label of a class: with
        more than 255 classes choose another than the default.
        """
        if num_classes < 1:
            raise ValueError(f"num_classes must be positive, got {num_classes}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)

    @classmethod
    def from_counts(cls, counts: np.ndarray, ignore_index: int = 255) -> "ConfusionMatrix":
        """A matrix that carries on from stored `counts`, integers [C, C+1]."""
        if counts.ndim != 2 or counts.shape[1] != counts.shape[0] + 1 or not np.issubdtype(counts.dtype, np.integer):
            raise ValueError(f"counts must be integers [C, C+1], got {counts.dtype} {counts.shape}")
        matrix = cls(len(counts), ignore_index)
        matrix.counts += counts
        return matrix

    def update(self, pred: np.ndarray, gt: np.ndarray) -> ClassPixels:
        """Count the pixels of one image; returns what they are by class.

        Args:
            pred: predicted labels, integers [H, W]. A value outside 0..C-1 (65535: unlabelled) means no class: a miss
                for the true class, and a false positive for none.
            gt: true labels, integers [H, W]: 0..C-1 or `ignore_index`.

        Raises:
            UserError: the shapes differ, or `gt` holds values that are neither classes nor `ignore_index`; nothing
                was counted then.
        """
        if pred.shape != gt.shape:
            raise UserError(
                f"the prediction is {_size(pred)}, its labels are {_size(gt)}: both must have the size of the image"
            )
        pred, gt = np.ravel(pred), np.ravel(gt)
        blocks = [slice(start, start + _BLOCK) for start in range(0, gt.size, _BLOCK)]
        found = [self._cells(pred[block], gt[block]) for block in blocks]
        columns = self.num_classes + 1
        # Labelled, predicted and correct; the last cell of each is for what belongs to none.
        by_class = np.zeros((3, columns), np.int64)
        for cells, pixels in found:
            np.add.at(self.counts.reshape(-1), cells, pixels)
            labels, predicted = np.divmod(cells, columns)
            correct = np.where(labels == predicted, labels, self.num_classes)
            for counted, which in zip(by_class, (labels, predicted, correct), strict=True):
                counted += np.bincount(which, pixels, columns).astype(np.int64)
        labelled, predicted, correct = by_class[:, :-1]
        return ClassPixels(correct, predicted, labelled)

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add what another matrix of the same classes has counted."""
        if self.num_classes != other.num_classes:
            raise ValueError(f"cannot merge {other.num_classes} classes into {self.num_classes}")
        self.counts += other.counts

    def result(self) -> Scores:
        """The scores of everything counted so far."""
        gt = self.counts.sum(1)
        pred = self.counts[:, :-1].sum(0)
        correct = self.counts.diagonal()
        present, iou, acc = class_shares(correct, pred, gt)
        if not present.any():
            none = float("nan")
            return Scores(none, none, none, none, none, iou=iou, acc=acc)
        return Scores(
            miou=float(iou[present].mean()),
            miou_gt_or_pred=float(iou[present].sum() / np.count_nonzero(gt + pred)),
            fwiou=float((iou[present] * gt[present]).sum() / gt.sum()),
            macc=float(acc[present].mean()),
            pacc=float(correct.sum() / gt.sum()),
            iou=iou,
            acc=acc,
        )

    def _cells(self, pred: np.ndarray, gt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `counts`, taken as one row, the pixels [N] belong: cells int64 [R], and how many pixels to each."""
        # Label maps are piecewise constant: a run of equal pixels becomes one entry.
        changes = pred[1:] != pred[:-1]
        changes |= gt[1:] != gt[:-1]
        if np.count_nonzero(changes) < gt.size // 4:
            ends = np.append(np.flatnonzero(changes), gt.size - 1)
            pixels = np.diff(ends, prepend=-1)
            pred, gt = pred[ends], gt[ends]
        else:
            pixels = np.ones(gt.size, np.int64)
        counted = gt != self.ignore_index
        if not counted.all():
            if 0 <= self.ignore_index < self.num_classes:
                raise UserError(
                    f"the labels hold {self.ignore_index}, which is both one of {self.num_classes} classes and "
                    "ignore_index; ignore pixels by a label that is no class, such as 65535"
                )
            pred, gt, pixels = pred[counted], gt[counted], pixels[counted]
        cells = gt.astype(np.int64)
        if cells.size and (cells.min() < 0 or cells.max() >= self.num_classes):
            raise UserError(
                f"the labels hold {_listed(cells[(cells < 0) | (cells >= self.num_classes)])}; expected are the "
                f"classes 0 to {self.num_classes - 1} and {self.ignore_index} for pixels to ignore: do the labels "
                "and the list of classes belong together?"
            )
        cells *= self.num_classes + 1
        # Unsigned, a negative label is a large one.
        cells += np.minimum(pred.astype(np.uint64), self.num_classes).astype(np.int64)
        return cells, pixels


def _listed(values: np.ndarray) -> str:
    return first_of(np.unique(values).tolist(), 10)


def _size(labels: np.ndarray) -> str:
    return "×".join(map(str, labels.shape[::-1]))
