"""Confusion matrices: `ConfusionMatrix.update` against a numpy bincount per image.

python -m tests.benchmarks.confusion [--images 20] [--classes 150] [--rounds 5]

Both count the same label maps, in turn, on one core: smooth regions as in photographs with predictions that differ at
the borders and in whole regions, and noise, the worst case. Prints the best round of each. The target on regions is
200 megapixels/s.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from pipeline.evaluation.confusion import ConfusionMatrix

_HEIGHT, _WIDTH = 512, 683
_IGNORE = 65535

Pairs = list[tuple[np.ndarray, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    classes = arguments.classes
    rng = np.random.default_rng(0)
    sets = {
        "regions": [_regions(rng, classes) for _ in range(arguments.images)],
        "noise": [tuple(rng.integers(0, classes, (2, _HEIGHT, _WIDTH), np.uint16)) for _ in range(arguments.images)],
    }
    for name, pairs in sets.items():
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            matrix = ConfusionMatrix(classes, _IGNORE)
            ours.append(_seconds(matrix.update, pairs))
            reference = _Bincount(classes)
            theirs.append(_seconds(reference.update, pairs))
            if not np.array_equal(matrix.counts, reference.counts):
                raise SystemExit(f"{name}: the counts differ")
        megapixels = sum(gt.size for _, gt in pairs) / 1e6
        change = np.mean([_changes(*pair) for pair in pairs])
        print(
            f"{name} ({classes} classes, {megapixels:.1f} Mpx, {change:.1%} of the pixels differ from the one before): "
            f"ours {megapixels / min(ours):.0f} Mpx/s, bincount {megapixels / min(theirs):.0f} Mpx/s, "
            f"ratio {min(theirs) / min(ours):.2f}"
        )


class _Bincount:
    """The usual way: one combined index per pixel."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self.counts = np.zeros((classes, classes + 1), np.int64)

    def update(self, pred: np.ndarray, gt: np.ndarray) -> None:
        counted = gt != _IGNORE
        columns = self._classes + 1
        cells = gt[counted].astype(np.int64) * columns + np.minimum(pred[counted], self._classes)
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)


def _seconds(update: Callable[[np.ndarray, np.ndarray], None], pairs: Pairs) -> float:
    start = time.perf_counter()
    for pred, gt in pairs:
        update(pred, gt)
    return time.perf_counter() - start


def _regions(rng: np.random.Generator, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and ground truth: about 30 regions, one label wrong in five, wobbly borders, some pixels ignored."""
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH].astype(np.float32)
    points = (rng.random((30, 2)) * (_HEIGHT, _WIDTH)).astype(np.float32)
    shift = cv2.GaussianBlur(rng.normal(0, 1, (_HEIGHT, _WIDTH)).astype(np.float32), (0, 0), 8) * 60
    true = _nearest(rows, columns, points)
    drawn = _nearest(rows + shift, columns + shift, points)
    labels = rng.integers(0, classes, len(points)).astype(np.uint16)
    predicted = np.where(rng.random(len(points)) < 0.2, rng.permutation(labels), labels).astype(np.uint16)
    gt = labels[true]
    gt[true == 0] = _IGNORE
    return predicted[drawn], gt


def _nearest(rows: np.ndarray, columns: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The index of the nearest of the points, for each pixel."""
    best, nearest = np.full(rows.shape, np.inf, np.float32), np.zeros(rows.shape, np.int64)
    for index, (row, column) in enumerate(points):
        distance = (rows - row) ** 2 + (columns - column) ** 2
        closer = distance < best
        best[closer], nearest[closer] = distance[closer], index
    return nearest


def _changes(pred: np.ndarray, gt: np.ndarray) -> float:
    """Share of pixels whose pair of labels differs from the pixel before."""
    return float(((np.diff(pred.ravel()) != 0) | (np.diff(gt.ravel()) != 0)).mean())


if __name__ == "__main__":
    main()
