"""Boxes in pixels: x0, y0, x1, y1, with x1 and y1 exclusive."""

import numpy as np


def expand_box(box: tuple[int, int, int, int], factor: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Scale a box (px, exclusive end) about its centre, truncate to whole pixels, clip to the image."""
    x0, y0, x1, y1 = box
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    half_w, half_h = (x1 - x0) * factor / 2, (y1 - y0) * factor / 2
    return (
        max(int(centre_x - half_w), 0),
        max(int(centre_y - half_h), 0),
        min(int(centre_x + half_w), width),
        min(int(centre_y + half_h), height),
    )


def expand_boxes(boxes_K4: np.ndarray, factor: float, width: int, height: int) -> np.ndarray:
    """`expand_box` for each of K boxes, int64 [K,4]."""
    begins_K2, ends_K2 = boxes_K4[:, :2], boxes_K4[:, 2:]
    centres_K2, halves_K2 = (begins_K2 + ends_K2) / 2, (ends_K2 - begins_K2) * factor / 2
    # To whole pixels as `int` does it: towards 0.
    begins_K2 = np.maximum((centres_K2 - halves_K2).astype(np.int64), 0)
    ends_K2 = np.minimum((centres_K2 + halves_K2).astype(np.int64), (width, height))
    return np.concatenate([begins_K2, ends_K2], axis=1)
