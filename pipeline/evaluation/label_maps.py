"""What was predicted for each image, small enough to keep: a report draws it over the image."""

from collections.abc import Collection, Mapping

import numpy as np
from PIL import Image

from pipeline.evaluation.datasets import IGNORE
from pipeline.segmentation.drawing import label_png

LABEL_MAPS = "label_maps"
"""The folder of these tables in an output directory."""
LARGEST_SIDE = 512
"""Pixels of a kept label map; a few kB as PNG."""


def main_branch(branches: Collection[str]) -> str:
    """The branch that stands for an evaluation: both models together if there are two, else CLIP."""
    return "fused" if "fused" in branches else "clip"


def label_map_row(image_id: str, maps: Mapping[str, np.ndarray], labels: np.ndarray, classes: int) -> dict:
    """A row of `schemas.LABEL_MAPS`.

    Args:
        maps: by branch, the predicted classes of the image, uint16 [H,W].
        labels: the true ones, uint16 [H,W].
    """
    branch = main_branch(maps)
    return {
        "image_id": image_id,
        "branch": branch,
        "miou": image_miou(maps[branch], labels),
        "labels": label_png(scaled_down(maps[branch]), classes),
    }


def scaled_down(labels: np.ndarray) -> np.ndarray:
    """A label map uint16 [H,W] with a longest side of at most `LARGEST_SIDE`."""
    scale = LARGEST_SIDE / max(labels.shape)
    if scale >= 1:
        return labels
    height, width = (max(1, round(side * scale)) for side in labels.shape)
    return np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))


def image_miou(predicted: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean IoU over the classes that one image shows, 0..1; None if nothing of it is labelled.

    Args:
        predicted: uint16 [H,W].
        labels: uint16 [H,W].
    """
    counted = labels != IGNORE
    truth, found = labels[counted], predicted[counted]
    if not len(truth):
        return None
    values = max(int(truth.max()), int(found.max())) + 1
    areas, found_areas, right = (
        np.bincount(pixels, minlength=values) for pixels in (truth, found, truth[truth == found])
    )
    present = areas > 0
    return float((right[present] / (areas + found_areas - right)[present]).mean())
