"""What is shown of a training sample: a random window around the mask."""

import cv2
import numpy as np

from pipeline.masks.boxes import expand_box
from pipeline.training.config import DataConfig
from pipeline.training.random_window import random_window

Box = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels, x1 and y1 exclusive."""


def region_box(mask: np.ndarray, expand: float) -> Box:
    """The tight box of a mask, bool [h,w] with at least one pixel, scaled about its centre within the crop."""
    x0, y0, width, height = cv2.boundingRect(mask.view(np.uint8))
    return expand_box((x0, y0, x0 + width, y0 + height), expand, mask.shape[1], mask.shape[0])


def training_window(mask: np.ndarray, config: DataConfig, *, seed: tuple[int, int, int]) -> tuple[Box, bool]:
    """Choose what a training step sees of a stored crop.

    A masked sample: a window inside the mask's tight box (scaled by `config.expand`), blank outside the mask. A
    sample without mask (a share of `config.unmasked_share`): a window inside the whole stored crop, with background.
    The window is that of the reference's RandomResizedCrop; one that would miss the mask gives way to the whole box.

    Args:
        mask: bool [h,w], with at least one pixel.
        seed: (seed, epoch, row): the same numbers make the same choice.

    Returns:
        the window; whether the sample is shown without mask, as if all its pixels were inside.
    """
    draw, window_seed = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    unmasked = bool(draw / 2**64 < config.unmasked_share)
    box = (0, 0, mask.shape[1], mask.shape[0]) if unmasked else region_box(mask, config.expand)
    if config.min_scale == 1:
        return box, unmasked
    left, top, right, bottom = box
    x0, y0, x1, y1 = random_window(right - left, bottom - top, config.min_scale, int(window_seed))
    x0, y0, x1, y1 = window = left + x0, top + y0, left + x1, top + y1
    if not unmasked and not mask[y0:y1, x0:x1].any():
        window = box
    return window, unmasked
