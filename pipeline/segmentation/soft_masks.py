"""Soft masks at the resolution of the model that made them → the resolution of the image.

Masks cover the whole image, whatever their aspect. They are upsampled as logits, bilinear at pixel centres, as
`F.interpolate(mode="bilinear")` does, and never all at once.

Shape suffixes: Q masks, C classes, h×w the model's resolution, H×W the image, R rows of a band.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline import masks
from pipeline.masks import Rle
from pipeline.segmentation.fusion import winners

_BAND_ELEMENTS = 2**22


def soft_labels(mask_logits: np.ndarray, height: int, width: int, scores_QC: np.ndarray, classes: int) -> np.ndarray:
    """The label map of soft masks, uint16 [height,width]; see `winners`.

    Works in bands of rows: beyond the result, 20 MB whatever the height of the image and the number of classes
    (or what one row of it needs: (3·Q + C) · 4 bytes a pixel).

    Args:
        mask_logits: float32 [Q,h,w].
        scores_QC: class scores float32, with the background behind the first `classes` columns.
    """
    labels_HW = np.empty((height, width), np.uint16)
    for top, logits_QRW in _bands(mask_logits, height, width, elements_per_pixel=scores_QC.shape[1]):
        rows = logits_QRW.shape[1]
        masks_PQ = logits_QRW.sigmoid_().flatten(1).T.contiguous().numpy()
        labels_HW[top : top + rows] = winners(masks_PQ @ scores_QC, classes).reshape(rows, width)
    return labels_HW


def binarize(mask_logits: np.ndarray, height: int, width: int, threshold: float) -> list[Rle]:
    """Run-length codes of the pixels whose probability is above `threshold`, one per mask, in the frame height × width.

    One upsampled mask exists at a time.

    Args:
        mask_logits: float32 [Q,h,w].
    """
    logit = float(np.log(threshold) - np.log1p(-threshold))
    codes = []
    for mask_hw in torch.from_numpy(mask_logits):
        inside_HW = np.empty((height, width), bool)
        for top, logits_1RW in _bands(mask_hw[None].numpy(), height, width, elements_per_pixel=0):
            inside_HW[top : top + logits_1RW.shape[1]] = logits_1RW[0].numpy() > logit
        codes += masks.encode(inside_HW[None])
    return codes


def _bands(
    mask_logits: np.ndarray, height: int, width: int, elements_per_pixel: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """The upsampled logits float32 [Q,R,W] of each band of rows, with its first row."""
    masks_Qhw = torch.from_numpy(np.ascontiguousarray(mask_logits, np.float32))
    count, source_height = masks_Qhw.shape[:2]
    rows = max(1, _BAND_ELEMENTS // (width * max(1, 3 * count + elements_per_pixel)))
    for top in range(0, height, rows):
        centres_R = (torch.arange(top, min(top + rows, height)) + 0.5) * (source_height / height) - 0.5
        centres_R = centres_R.clamp(0, source_height - 1)
        above_R = centres_R.long()
        below_R = (above_R + 1).clamp(max=source_height - 1)
        share_R1 = (centres_R - above_R)[:, None]
        band_QRw = torch.lerp(masks_Qhw[:, above_R], masks_Qhw[:, below_R], share_R1)
        yield top, F.interpolate(band_QRw[None], (len(above_R), width), mode="bilinear")[0]
