"""Boxes as regions: what CLIP makes of an object together with all that its box shows.

The region classification of CLIPSelf (arXiv 2310.01403) and FG-CLIP (arXiv 2505.05071) on COCO and LVIS. The boxes here
are the tight ones of the masks, as those of the annotations are, in whole pixels.
"""

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.datasets import SegmentationDataset
from pipeline.masks.masks import Masks
from pipeline.masks.runs import Runs


def boxes_as_masks(masks: Masks) -> Masks:
    """Masks that fill the tight boxes of these; empty where a mask is."""
    height, width = masks.size
    begins: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    for x0, y0, x1, y1 in masks.boxes().tolist():
        if y1 - y0 == height:  # each column goes on where the one before ends
            begins.append(np.array([x0 * height]))
            ends.append(np.array([x1 * height]))
        else:
            columns = np.arange(x0, x1) * height
            begins.append(columns + y0)
            ends.append(columns + y1)
    first = np.cumsum([0, *map(len, begins)])
    none = np.zeros(0, np.int64)
    return Masks.of_runs(
        [Runs(np.concatenate([none, *begins]), np.concatenate([none, *ends]), first, height, width)], height, width
    )


def check_boxes(dataset: SegmentationDataset, true_boxes: bool) -> None:
    """Check that the data set has objects, if they are to be named in their boxes.

    Raises:
        UserError: it has none.
    """
    if true_boxes and (dataset.objects is None or not dataset.objects.instances):
        raise UserError(
            f"true_boxes: {dataset.name} does not tell objects apart; use it with lvis_v1, coco_instances or another "
            "data set of instances, or leave it out"
        )
