"""Differences of two evaluations in the same resamplings of the same images.

Drawn alike, an image that is hard for both weighs on neither, so that the interval of a difference is narrower than
those of the figures. A headline figure differs by more than chance if the interval of its difference holds no 0. Of
many classes some would by chance: of them, Benjamini and Hochberg's procedure (1995) keeps the expected share of false
ones among those named at 5 per cent.

Shape suffixes: B resamplings, C classes.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import false_discovery_control

from pipeline.evaluation.comparison.evaluated import Evaluated
from pipeline.evaluation.comparison.shared import SharedImages
from pipeline.evaluation.uncertainty.intervals import PARTS, image_figures
from pipeline.evaluation.uncertainty.resampling import FEWEST_IMAGES, Figures, interval, point, resample

FALSE_SHARE = 0.05
"""Expected share of false ones among the classes that are said to differ."""


@dataclass(frozen=True)
class Difference:
    """Of one figure; shares 0..1."""

    name: str
    a: float
    b: float
    low: float
    """Ends of the 95 % interval of `b - a`."""
    high: float
    beyond_chance: bool


@dataclass(frozen=True)
class ClassDifference(Difference):
    """Of one class, in which `beyond_chance` is after Benjamini and Hochberg's procedure."""

    label: int
    images: int
    """Shared images that show it."""
    p: float
    """Two-sided, by the resamplings on the other side of 0."""
    p_adjusted: float


@dataclass(frozen=True)
class PartDifferences:
    """Of a part of `result.json`."""

    part: str
    branches: tuple[str, str]
    """Of A and of B; empty of `region_accuracy`."""
    headline: list[Difference]
    classes: list[ClassDifference]
    """What gained most first, by the figure that `PARTS` names; classes with too few images are not among them."""
    untested: int
    """Classes in both that fewer than `FEWEST_IMAGES` images show."""


def paired_differences(
    a: Evaluated, b: Evaluated, shared: SharedImages, resamplings: int, seed: int = 0
) -> tuple[list[PartDifferences], list[str]]:
    """Every part that both have.

    Args:
        resamplings: more than for an interval, since the least p-value is 2 / (resamplings + 1), and stands among those
            of many classes.

    Returns:
        the differences, and parts that both have but whose images are not known one by one.

    Raises:
        UserError: a table is damaged.
        OSError: storage cannot be read.
    """
    images = pa.array(shared.image_ids, pa.string())
    found: list[PartDifferences] = []
    unknown: list[str] = []
    for part in ("scores", "region_accuracy", "panoptic", "instances"):
        branches = ("", "")
        if part != "region_accuracy":
            if part not in a.branches or part not in b.branches:
                continue
            branches = a.branches[part], b.branches[part]
        sources = {
            side: image_figures(evaluated.tables, part, branch, images, len(evaluated.classes), evaluated.objects)
            for side, evaluated, branch in zip("ab", (a, b), branches, strict=True)
        }
        if None in sources.values():
            unknown.append(part)
            continue
        first, second = sources["a"], sources["b"]
        assert first is not None  # for the type checker
        assert second is not None
        exact = point(first, len(images)), point(second, len(images))
        drawn = resample({"a": first, "b": second}, len(images), resamplings, seed)
        headline = [
            _difference(name, exact[0].headline[name][0], exact[1].headline[name][0], values, drawn["b"].headline[name])
            for name, values in drawn["a"].headline.items()
            if np.isfinite(exact[0].headline[name][0])
        ]
        classes: list[ClassDifference] = []
        untested = 0
        if part in PARTS:
            figure, shown_C = PARTS[part], np.minimum(first.images_of_class, second.images_of_class)
            classes, untested = _class_differences(figure, a.classes, exact, drawn, shown_C)
        found.append(PartDifferences(part, branches, headline, classes, untested))
    return found, unknown


def _difference(name: str, a: float, b: float, drawn_a: np.ndarray, drawn_b: np.ndarray) -> Difference:
    low, high = (float(end) for end in interval(drawn_b - drawn_a))
    return Difference(name, float(a), float(b), low, high, low > 0 or high < 0)


def _class_differences(
    figure: str, names: list[str], exact: tuple[Figures, Figures], drawn: dict[str, Figures], shown_C: np.ndarray
) -> tuple[list[ClassDifference], int]:
    a_C, b_C = (figures.classes[figure][0] for figures in exact)
    there_C = np.isfinite(a_C) & np.isfinite(b_C)
    tested = np.flatnonzero(there_C & (shown_C >= FEWEST_IMAGES))
    if not len(tested):
        return [], int(there_C.sum())
    differences_BC = (drawn["b"].classes[figure] - drawn["a"].classes[figure])[:, tested]
    low, high = interval(differences_BC)
    p = two_sided_p(differences_BC)
    adjusted = false_discovery_control(p)
    rows = [
        ClassDifference(
            names[label], float(a_C[label]), float(b_C[label]), float(low[i]), float(high[i]),
            bool(adjusted[i] <= FALSE_SHARE), label, int(shown_C[label]), float(p[i]), float(adjusted[i]),
        )
        for i, label in enumerate(tested.tolist())
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row.a - row.b, row.label)), int(there_C.sum()) - len(tested)


def two_sided_p(differences_BC: np.ndarray) -> np.ndarray:
    """Twice the share of resamplings on the rarer side of 0, with 0 itself; never 0, as that of so many cannot be."""
    known = np.isfinite(differences_BC).sum(axis=0)
    rarer = np.minimum((differences_BC <= 0).sum(axis=0), (differences_BC >= 0).sum(axis=0))
    return np.minimum(1.0, 2 * (rarer + 1) / (known + 1))
