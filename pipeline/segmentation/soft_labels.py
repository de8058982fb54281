"""Soft masks with class scores → label map.

Shape suffixes: Q masks, C classes, h×w the model's resolution, H×W the image, R rows of a band, P pixels of a band.
"""

import numpy as np
import torch

from pipeline.masks.soft import upsampled_bands
from pipeline.segmentation.fusion import winners


def soft_labels(mask_logits: np.ndarray, height: int, width: int, scores_QC: np.ndarray, classes: int) -> np.ndarray:
    """The label map of soft masks, uint16 [height,width]; see `winners`.

    Works in bands of rows: beyond the result, 20 MB whatever the height of the image and the number of classes
    (or what one row of it needs: (3·Q + C) · 4 bytes a pixel).

    Args:
        mask_logits: float32 [Q,h,w].
        scores_QC: class scores float32, with the background behind the first `classes` columns.
    """
    labels_HW = np.empty((height, width), np.uint16)
    for top, logits_QRW in upsampled_bands(torch.from_numpy(mask_logits), height, width, scores_QC.shape[1]):
        rows = logits_QRW.shape[1]
        masks_PQ = logits_QRW.sigmoid_().flatten(1).T.contiguous().numpy()
        labels_HW[top : top + rows] = winners(masks_PQ @ scores_QC, classes).reshape(rows, width)
    return labels_HW
