"""95 % intervals of an evaluation's figures, for `result.json` and its tables of classes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.evaluation.chunk_tables import ChunkTables
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.uncertainty.precision import InstanceFigures
from pipeline.evaluation.uncertainty.resampling import (
    FEWEST_IMAGES,
    LEVEL,
    RESAMPLINGS,
    SEED,
    ImageFigures,
    interval,
    resample,
)
from pipeline.evaluation.uncertainty.sums import PanopticFigures, PixelFigures, RegionFigures, panoptic_name

Interval = tuple[np.ndarray, np.ndarray]
"""Low and high ends."""
PARTS = {"scores": "iou", "panoptic": "pq", "instances": "ap"}
"""The parts of `result.json` that have figures by branch, each with its figure of every class."""


def image_figures(
    tables: ChunkTables, part: str, branch: str, images: pa.Array, classes: int, objects: ObjectClasses | None
) -> ImageFigures | None:
    """What the images add to the figures of a part of `result.json`.

    Args:
        part: one of `PARTS`, or `region_accuracy`, which has no branches.
        images: ids of those that count.
        objects: what the data set says of its classes; of `panoptic` and `instances` it is known.

    Returns:
        None if the tables do not tell: earlier versions of this program kept no pixels of single images.
    """
    if part == "region_accuracy":
        return RegionFigures(tables.read("regions"), images, classes)
    if part == "scores":
        whole = tables.every_chunk_has("class_pixels")
        return PixelFigures(tables.read("class_pixels", [branch]), images, classes) if whole else None
    assert objects is not None  # without, there are no figures of them
    if part == "panoptic":
        return PanopticFigures(tables.read("panoptic", [branch]), images, classes, objects)
    detections = tables.read("detections", [branch])
    return InstanceFigures(detections, tables.read("objects"), images, classes, objects)


@dataclass(frozen=True)
class Intervals:
    """Of all figures whose images are known."""

    result: dict
    """What `result.json` says: level, resamplings, seed, and by part, as that has it, [low, high]; null where none."""
    classes: dict[tuple[str, str], Interval]
    """By branch and figure of `PARTS`: float64 [C] each, nan for classes that fewer than `FEWEST_IMAGES` show."""


def evaluation_intervals(
    tables: ChunkTables, result: Mapping, images: pa.Array, classes: int, objects: ObjectClasses | None
) -> Intervals | None:
    """Intervals of everything that a result has; None of fewer than two images.

    Args:
        result: the content of `result.json`, without them.
        images: ids of all images.
    """
    if len(images) < 2:
        return None
    found: dict = {"level": LEVEL, "resamplings": RESAMPLINGS, "seed": SEED}
    of_classes: dict[tuple[str, str], Interval] = {}
    wanted = [("region_accuracy", "")]
    wanted += [(part, branch) for part in PARTS for branch in result.get(part, {})]
    for part, branch in wanted:
        source = image_figures(tables, part, branch, images, classes, objects)
        if source is None:
            continue
        figures = resample({part: source}, len(images))[part]
        ends: dict = {name: _ends(values) for name, values in figures.headline.items()}
        if part == "region_accuracy":
            found[part] = ends
            continue
        if part == "panoptic":
            kinds, names = ("all", "things", "stuff"), ("pq", "sq", "rq")
            ends = {kind: {name: ends[panoptic_name(name, kind)] for name in names} for kind in kinds}
        found.setdefault(part, {})[branch] = ends
        figure = PARTS[part]
        few = source.images_of_class < FEWEST_IMAGES
        low, high = interval(figures.classes[figure])
        of_classes[branch, figure] = np.where(few, np.nan, low), np.where(few, np.nan, high)
    return Intervals(found, of_classes)


def _ends(values_B: np.ndarray) -> list[float] | None:
    low, high = (float(end) for end in interval(values_B))
    return None if np.isnan(low) else [low, high]
