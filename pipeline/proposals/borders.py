"""Borders between the regions of a segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Borders:
    """The B pairs of neighbouring regions, sorted by the lower region, then by the higher."""

    low: np.ndarray
    """The lower region of each pair, int64 [B]."""
    high: np.ndarray
    """The higher one, int64 [B]."""
    sides: np.ndarray
    """Pixel sides in common, int64 [B]."""
    steps: np.ndarray
    """Sum of the colour steps there, float64 [B]."""

    def neighbours(self, regions: int) -> list[dict[int, tuple[int, float]]]:
        """Per region its neighbours in rising order, each with the sides and steps of the border."""
        result: list[dict[int, tuple[int, float]]] = [{} for _ in range(regions)]
        columns = (self.low.tolist(), self.high.tolist(), self.sides.tolist(), self.steps.tolist())
        for low, high, sides, steps in zip(*columns, strict=True):
            result[low][high] = result[high][low] = (sides, steps)
        return result

    def outlines(self, regions: int) -> tuple[np.ndarray, np.ndarray]:
        """Per region the sides and the steps of all its borders, int64 [N] and float64 [N]."""
        # Of each region, borders with lower ones first: the order in which `neighbours` has them.
        ends = np.concatenate([self.high, self.low])
        sides = np.bincount(ends, np.concatenate([self.sides, self.sides]), minlength=regions)
        return sides.astype(np.int64), np.bincount(ends, np.concatenate([self.steps, self.steps]), minlength=regions)


def find_borders(labels: np.ndarray, steps: Sequence[np.ndarray], regions: int) -> Borders:
    """The borders of a segmentation.

    Args:
        labels: int64 [H, W], regions numbered 0..regions−1.
        steps: float32, colour difference to the right [H, W − 1] and downwards [H − 1, W].
    """
    pairs, differences = [], []
    for one, other, step in ((labels[:, :-1], labels[:, 1:], steps[0]), (labels[:-1], labels[1:], steps[1])):
        at = np.flatnonzero(one != other)
        one_P, other_P = one.ravel()[at], other.ravel()[at]
        pairs.append(np.minimum(one_P, other_P) * regions + np.maximum(one_P, other_P))
        differences.append(step.ravel()[at])
    codes, borders, sides = np.unique(np.concatenate(pairs), return_inverse=True, return_counts=True)
    totals = np.bincount(borders, np.concatenate(differences), minlength=len(codes))
    low, high = np.divmod(codes, regions)
    return Borders(low, high, sides, totals)
