"""Inputs of proposers: encoded boxes, grey images, a configuration that keeps every annotated object."""

from pathlib import Path

import numpy as np

from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig


def encode_boxes(boxes: list[tuple[int, int, int, int]], height: int, width: int) -> Masks:
    stack = np.zeros((len(boxes), height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(stack, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Masks.encode(stack)


def everything(annotations: Path | str, **options) -> ProposalsConfig:
    return ProposalsConfig(
        backend="ground_truth",
        min_area=0,
        max_area=1,
        max_iou=1,
        max_proposals=1000,
        options={"annotations": str(annotations), **options},
    )


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)
