"""Precision against a threshold, and the threshold for a wanted precision."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.quality.answers import Answers
from pipeline.quality.estimates import Estimate, Predicted, estimate
from pipeline.quality.fitting import Fit

SHARES = tuple(share / 100 for share in range(100, 0, -5))
"""Of all pairs, those that a curve keeps."""
_LEAST_LABELS = 10
"""Above a threshold, for one that is recommended."""


@dataclass(frozen=True)
class Point:
    """The pairs with a key of at least a threshold."""

    threshold: float
    share: float
    """Of all pairs, 0..1."""
    precision: Estimate


@dataclass(frozen=True)
class Curve:
    """Precision against the threshold of one key."""

    key: str
    """Column: clip_score or p_right."""
    points: tuple[Point, ...]
    """From all pairs to the best few."""

    def condition(self, point: Point) -> str:
        """What `data.where` takes to keep the pairs of a point."""
        return f"{self.key} >= {point.threshold:.6f}".rstrip("0").rstrip(".")

    def wanted(self, precision: float, *, sure: bool) -> Point | None:
        """The point that keeps most pairs with at least this precision; None if no point has it.

        Args:
            precision: 0..1.
            sure: the lower end of the interval has to reach it, not the estimate alone.
        """
        for point in self.points:
            found = point.precision
            if found.labels >= _LEAST_LABELS and (found.low if sure else found.value) >= precision:
                return point
        return None


def curve(key: str, values: np.ndarray, labelled: np.ndarray, answers: Answers, fit: Fit | None) -> Curve:
    """Precision at thresholds that keep 100, 95, …, 5 % of all pairs.

    Args:
        values: float [P], of all pairs.
        labelled: float [L], of the pairs with answers: those of `values`, or cross-fitted ones where `values` come of
            the same answers.
        fit: None: no predictions are used.
    """
    order = np.argsort(-values, kind="stable")
    falling = values[order].astype(np.float64)
    blind = None if fit is None else np.cumsum(fit.blind[order]) / np.arange(1, len(values) + 1)
    points: list[Point] = []
    for share in SHARES:
        # Rounded down, so that what is printed keeps the same pairs.
        threshold = math.floor(falling[max(math.ceil(share * len(values)) - 1, 0)] * 1e6) / 1e6
        kept = int(np.searchsorted(-falling, -threshold, side="right"))
        if points and kept == points[-1].precision.pairs:
            continue  # equal keys
        predicted = None
        if fit is not None and blind is not None:
            predicted = Predicted(fit.blind_labels, float(blind[kept - 1]))
        found = estimate(answers, labelled >= threshold, kept, predicted)
        points.append(Point(threshold, kept / len(values), found))
    return Curve(key, tuple(points))
