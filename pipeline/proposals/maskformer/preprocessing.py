"""Images → what MaskFormer takes, as detectron2 prepares it; and its masks back into the frame of the image.

Shape suffixes: B images, Q masks, H×W the padded image, h×w the masks.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

from pipeline.proposals.networks import resized, to_device

# Of ImageNet, in RGB from 0 to 255; the same in every configuration of MaskFormer and OVSeg.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
_STRIDE = 32


def prepare(
    images: Sequence[np.ndarray], short_side: int, max_side: int, device: torch.device
) -> tuple[torch.Tensor, tuple[int, int]]:
    """The network's input, float32 [B,3,H,W] on `device`, and the height and width of the images in it.

    Resized by Pillow, bilinear, and padded with zeros at the bottom and at the right, after the normalisation, to
    sides divisible by 32.

    Args:
        images: uint8 [height, width, 3] RGB, all of one size.
        short_side, max_side: see `resized`.
    """
    height, width = images[0].shape[:2]
    height, width = resized(height, width, short_side, max_side)
    scaled = [Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR) for image in images]
    pixels_BHW3 = to_device(np.stack([np.asarray(image) for image in scaled]), device)
    mean_311, std_311 = _normalisation(device)
    pixels_B3HW = (pixels_BHW3.permute(0, 3, 1, 2) - mean_311) / std_311
    return F.pad(pixels_B3HW, (0, -width % _STRIDE, 0, -height % _STRIDE)), (height, width)


@lru_cache
def _normalisation(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation on a device, float32 [3,1,1] each."""
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))
    return mean, std


def without_padding(masks_BQhw: torch.Tensor, padded: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """The masks without what they say of the padding: float [B,Q,h,w], covering the image.

    Where the image ends within a pixel of the masks, they are sampled anew, bilinear, so that they end with it.

    Args:
        masks_BQhw: float, covering the padded image.
        padded: height and width of the padded image.
        size: height and width of the image in it.
    """
    strides = [whole / pixels for whole, pixels in zip(padded, masks_BQhw.shape[2:], strict=True)]
    counts = [math.ceil(side / stride) for side, stride in zip(size, strides, strict=True)]
    if all(count * stride == side for count, stride, side in zip(counts, strides, size, strict=True)):
        return masks_BQhw[..., : counts[0], : counts[1]]
    # Centres of the new pixels, from -1 to 1 over the padded image. Not F.interpolate with a scale factor: where that
    # gives as many pixels as it gets, it does nothing.
    rows, columns = (
        (torch.arange(count, device=masks_BQhw.device) + 0.5) * (2 * side / (count * whole)) - 1
        for count, side, whole in zip(counts, size, padded, strict=True)
    )
    grid_hw2 = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    grid_Bhw2 = grid_hw2.expand(len(masks_BQhw), -1, -1, -1)
    return F.grid_sample(masks_BQhw, grid_Bhw2, mode="bilinear", padding_mode="border", align_corners=False)
