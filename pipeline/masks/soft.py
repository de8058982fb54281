"""Soft masks at the resolution of the model that made them → the resolution of the image.

Masks cover the whole image, whatever their aspect. They are upsampled as logits, bilinear at pixel centres, as
`F.interpolate(mode="bilinear")` does, and never all at once.

Shape suffixes: Q masks, h×w the model's resolution, H×W the image, R rows of a band, P pixels.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from pycocotools import mask as coco_mask

from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.masks.rle import Rle

_BAND_ELEMENTS = 2**22


def binarize(mask_logits: torch.Tensor, height: int, width: int, threshold: float) -> Masks:
    """The pixels whose probability is above `threshold`, one mask per soft mask, in the frame height × width.

    One upsampled mask exists at a time.

    Args:
        mask_logits: float [Q,h,w] on any device.
    """
    level = logit(threshold)
    codes: list[Rle] = []
    for mask_hw in mask_logits:
        inside_HW = torch.empty((height, width), dtype=torch.bool, device=mask_logits.device)
        for top, logits_1RW in upsampled_bands(mask_hw[None], height, width):
            inside_HW[top : top + logits_1RW.shape[1]] = logits_1RW[0] > level
        codes += encode(inside_HW[None])
    return Masks(codes, height, width)


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
    """Run-length codes of masks, bool [Q,H,W]. From a GPU only the positions where runs begin are copied."""
    if masks_QHW.device.type == "cpu":
        return rle.encode(masks_QHW.numpy())
    return encode_runs(masks_QHW)


def encode_runs(masks_QHW: torch.Tensor) -> list[Rle]:
    """`encode` with the runs found by torch, on any device."""
    count, height, width = masks_QHW.shape
    if not count:
        return []
    columns_QP = masks_QHW.transpose(1, 2).flatten(1)  # COCO's codes go down the columns
    before_QP = torch.cat([columns_QP.new_zeros(count, 1), columns_QP[:, :-1]], dim=1)
    which, positions = (columns_QP != before_QP).nonzero(as_tuple=True)
    begins = positions.cpu().split(torch.bincount(which, minlength=count).tolist())
    ends = torch.tensor([height * width])
    runs = [torch.diff(torch.cat([begin, ends]), prepend=torch.tensor([0])).tolist() for begin in begins]
    codes = coco_mask.frPyObjects([{"size": [height, width], "counts": run} for run in runs], height, width)
    return [code["counts"] for code in codes]
