"""The bootstrap over images (Efron and Tibshirani 1993, ch. 13): percentile intervals.

A resampling draws as many images as there are, with replacement; all figures are then computed anew, from what the
images add to them. Pixels and objects of one image are not independent, so whole images are drawn. Two evaluations of
the same images are drawn alike, by the same seed, so that their difference has an interval, too.

An interval says how figures vary with the images. It says nothing of other training runs, seeds or labels. Where a
class is in few images, what was drawn says little of it: see `FEWEST_IMAGES`.

Shape suffixes: B resamplings, I images, C classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

LEVEL = 0.95
"""Of the intervals."""
RESAMPLINGS, SEED = 1000, 0
FEWEST_IMAGES = 10
"""A class that fewer images show gets no interval: of three images the bootstrap cannot say how the next would be."""
_CELLS = 1 << 20
"""Weights that are held at a time."""


@dataclass(frozen=True)
class Figures:
    """The figures of B resamplings; nan where there is nothing to tell."""

    headline: dict[str, np.ndarray]
    """float64 [B] by name."""
    classes: dict[str, np.ndarray]
    """float64 [B,C] by name."""


class ImageFigures(Protocol):
    """What images add to some figures."""

    images_of_class: np.ndarray
    """How many images show each class, int64 [C]."""

    def figures(self, weights_BI: np.ndarray) -> Figures:
        """The figures of images that count so many times each.

        Args:
            weights_BI: float64.
        """


def resampled_weights(images: int, resamplings: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, in blocks of resamplings: float64 [B,I], rows of sum I."""
    rng = np.random.default_rng(seed)
    most = max(1, _CELLS // images)
    for first in range(0, resamplings, most):
        count = min(most, resamplings - first)
        drawn = rng.integers(images, size=(count, images)) + images * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images).astype(np.float64)


def resample(
    sources: Mapping[str, ImageFigures], images: int, resamplings: int = RESAMPLINGS, seed: int = SEED
) -> dict[str, Figures]:
    """All figures of every source in the same resamplings, by the name of the source."""
    parts: dict[str, list[Figures]] = {name: [] for name in sources}
    for weights_BI in resampled_weights(images, resamplings, seed):
        for name, source in sources.items():
            parts[name].append(source.figures(weights_BI))
    return {
        name: Figures(_joined([part.headline for part in found]), _joined([part.classes for part in found]))
        for name, found in parts.items()
    }


def _joined(blocks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {figure: np.concatenate([block[figure] for block in blocks]) for figure in blocks[0]}


def point(source: ImageFigures, images: int) -> Figures:
    """The figures themselves, of every image once; B is 1."""
    return source.figures(np.ones((1, images)))


def interval(values_B: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the percentile interval, over the first axis; nan is left out, and comes where nothing else is.

    Args:
        values_B: float64 [B, ...].
    """
    ordered_B = np.sort(values_B, axis=0)  # nan last
    known = np.isfinite(ordered_B).sum(axis=0)
    low, high = (_quantile(ordered_B, known, (1 + sign * level) / 2) for sign in (-1, 1))
    return low, high


def _quantile(ordered_B: np.ndarray, known: np.ndarray, share: float) -> np.ndarray:
    place = share * np.maximum(known - 1, 0)
    below = np.floor(place).astype(np.int64)
    first, second = (
        np.take_along_axis(ordered_B, index[None], axis=0)[0] for index in (below, np.ceil(place).astype(np.int64))
    )
    return first + (place - below) * (second - first)


def class_means(values_BC: np.ndarray) -> np.ndarray:
    """Means over the classes that are not nan, float64 [B]; nan without any."""
    known_BC = np.isfinite(values_BC)
    counts_B = known_BC.sum(axis=-1)
    sums_B = np.where(known_BC, values_BC, 0).sum(axis=-1)
    return np.divide(sums_B, counts_B, out=np.full(len(values_BC), np.nan), where=counts_B > 0)
