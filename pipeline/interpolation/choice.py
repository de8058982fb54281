"""Which weights between the original CLIP and the adapted one are taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

Gain = Literal["accuracy", "miou"]


@dataclass(frozen=True)
class Point:
    """What weights with a share α of the adapted ones do; shares, 0..1."""

    alpha: float
    accuracy: float | None
    """Of the held-out masked regions, those that are nearest to their own noun; None without any."""
    miou: float | None
    """Of the evaluation that was asked for; None if none was."""
    retention: float
    """On whole images: the mean over the sets of what stands for each."""
    sets: dict[str, dict[str, float]]
    """The scores of each set."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """A point that was stored."""
        return cls(**{name: values[name] for name in ("alpha", "accuracy", "miou", "retention", "sets")})


def gain_of(points: Sequence[Point]) -> Gain:
    """What the gain is measured by: mIoU if it was measured, else the accuracy on masked regions."""
    return "miou" if all(point.miou is not None for point in points) else "accuracy"


def lost(points: Sequence[Point], point: Point) -> float:
    """Points of retention (hundredths) that were lost since α = 0; below 0 if some were won."""
    [original] = [one for one in points if one.alpha == 0]
    return 100 * (original.retention - point.retention)


def choose(points: Sequence[Point], max_lost: float) -> Point:
    """Of the points that lose at most `max_lost`, the one with most gain; of equal ones the nearest to the original.

    The original itself loses nothing, so there always is one.

    Args:
        points: one of them with α = 0; all with the gain that `gain_of` names.
    """
    name = gain_of(points)
    allowed = [point for point in points if lost(points, point) <= max_lost + 1e-9]
    return max(allowed, key=lambda point: (getattr(point, name), -point.alpha))


def rule(points: Sequence[Point], max_lost: float) -> str:
    """In words."""
    gain = {"miou": "mIoU", "accuracy": "accuracy on masked regions"}[gain_of(points)]
    return f"most {gain} with at most {max_lost:g} {'point' if max_lost == 1 else 'points'} of retention lost"
