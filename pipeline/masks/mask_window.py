"""Part of a mask out of its runs, without the frame."""

import cv2
import numpy as np

from pipeline.masks.runs import Runs


def mask_window(runs: Runs, index: int, window: tuple[int, int, int, int]) -> np.ndarray:
    """Part of one of the masks, uint8 [h,w] of 0 and 1; C-contiguous.

    Args:
        index: of the mask.
        window: x0 y0 x1 y1 in pixels, x1 and y1 exclusive, within the frame and not empty.
    """
    x0, y0, x1, y1 = window
    own = slice(runs.first[index], runs.first[index + 1])
    edges = np.empty(2 * (own.stop - own.start) + 2, np.int64)
    edges[0], edges[-1] = x0 * runs.height, x1 * runs.height
    edges[1:-1:2], edges[2:-1:2] = runs.begins[own], runs.ends[own]
    np.clip(edges, edges[0], edges[-1], out=edges)
    values = np.zeros(len(edges) - 1, np.uint8)
    values[1::2] = 1
    columns_wH = np.repeat(values, np.diff(edges)).reshape(x1 - x0, runs.height)
    return cv2.transpose(columns_wH[:, y0:y1])
