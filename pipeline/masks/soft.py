"""Soft masks at the resolution of the model that made them → the resolution of the image.

Masks cover the whole image, whatever their aspect. They are upsampled as logits, bilinear at pixel centres, as
`F.interpolate(mode="bilinear")` does, and never all at once.

Shape suffixes: Q masks, h×w the model's resolution, H×W the image, R rows of a band, P pixels.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.masks.rle import Rle
from pipeline.masks.rle_writing import encode_runs
from pipeline.masks.runs import Runs
from pipeline.masks.upsampling import upsampled_runs

_BAND_ELEMENTS = 2**22


def binarize(mask_logits: torch.Tensor, height: int, width: int, threshold: float) -> Masks:
    """The pixels whose probability is above `threshold`, one mask per soft mask, in the frame height × width.

    Args:
        mask_logits: float [Q,h,w] on any device, finite.
    """
    runs = upsampled_runs(mask_logits, height, width, logit(threshold))
    return Masks.of_runs(list(runs), height, width)


def logit(probability: float) -> float:
    """The logit whose sigmoid is `probability`."""
    return math.log(probability) - math.log1p(-probability)


def upsampled_bands(
    mask_logits: torch.Tensor, height: int, width: int, elements_per_pixel: int = 0
) -> Iterator[tuple[int, torch.Tensor]]:
    """The upsampled logits float32 [Q,R,W] of each band of rows, with its first row.

    Args:
        mask_logits: float [Q,h,w] on any device.
        elements_per_pixel: what the caller makes of a pixel beside the logits; bands are chosen by the sum.
    """
    masks_Qhw = mask_logits.float()
    count, source_height = masks_Qhw.shape[:2]
    rows = max(1, _BAND_ELEMENTS // (width * max(1, 3 * count + elements_per_pixel)))
    for top in range(0, height, rows):
        rows_R = torch.arange(top, min(top + rows, height), device=masks_Qhw.device)
        centres_R = ((rows_R + 0.5) * (source_height / height) - 0.5).clamp(0, source_height - 1)
        above_R = centres_R.long()
        below_R = (above_R + 1).clamp(max=source_height - 1)
        share_R1 = (centres_R - above_R)[:, None]
        band_QRw = torch.lerp(masks_Qhw[:, above_R], masks_Qhw[:, below_R], share_R1)
        yield top, F.interpolate(band_QRw[None], (len(above_R), width), mode="bilinear")[0]


def encode(masks_QHW: torch.Tensor) -> list[Rle]:
    """Run-length codes of masks, bool [Q,H,W]. From a GPU only the positions where runs begin and end are copied."""
    if masks_QHW.device.type == "cpu":
        return rle.encode(masks_QHW.numpy())
    return encode_runs(runs_of(masks_QHW))


def runs_of(masks_QHW: torch.Tensor) -> Runs:
    """The runs of masks, bool [Q,H,W] on any device, found there."""
    count, height, width = masks_QHW.shape
    columns_QP = masks_QHW.transpose(1, 2).flatten(1)  # COCO's codes go down the columns
    nothing_Q1 = columns_QP.new_zeros(count, 1)
    # Before the first pixel and after the last one nothing is inside: what begins ends.
    edges = torch.cat([nothing_Q1, columns_QP], dim=1) ^ torch.cat([columns_QP, nothing_Q1], dim=1)
    which, positions = edges.nonzero().cpu().numpy().T
    first = np.searchsorted(which, np.arange(count + 1)) // 2
    return Runs(positions[::2].copy(), positions[1::2].copy(), first, height, width)
