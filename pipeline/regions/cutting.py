"""Image + masks → CLIP inputs: blank outside the mask, crop, normalise, resize (OVSeg Sec. 3.1).

Shape suffixes: K masks, V valid masks, H×W the image, S the CLIP input side.
"""

from functools import lru_cache
from typing import get_args

import cv2
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.masks.boxes import expand_box
from pipeline.regions.clip_input import ClipInput
from pipeline.regions.config import Fill


def tight_boxes(masks_KHW: torch.Tensor) -> torch.Tensor:
    """Tight boxes of boolean masks [K,H,W] with at least one pixel each: int64 [K,4], x0 y0 x1 y1, x1 y1 exclusive."""
    columns, rows = masks_KHW.any(dim=1), masks_KHW.any(dim=2)

    def first_and_end(line_KN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        line_KN = line_KN.to(torch.uint8)  # argmax returns the first maximum
        return line_KN.argmax(dim=1), line_KN.shape[1] - line_KN.flip(1).argmax(dim=1)

    (x0, x1), (y0, y1) = first_and_end(columns), first_and_end(rows)
    return torch.stack([x0, y0, x1, y1], dim=1)


def masked_regions(
    image: torch.Tensor,
    masks: torch.Tensor,
    *,
    size: int = ClipInput.size,
    threshold: float = 0.5,
    fill: Fill = "mean",
    expand: float = 1.0,
    clip_input: ClipInput | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cut the masked regions out of an image.

    Per mask: m = mask > threshold; masks without a pixel are dropped; the tight box of m is scaled about its
    centre by `expand`; pixels outside m are blanked with `fill`; the crop is normalised with CLIP's mean and std
    and only then resized to size×size, bicubic without antialias, aspect not kept, so that a mean fill is
    exactly 0 in the result.

    Args:
        image: uint8 [3,H,W], RGB.
        masks: [K,H,W], probabilities in 0..1 or booleans.
        size: S in pixels, for a CLIP with the mean and std of OpenAI's.
        clip_input: S, mean and std of any CLIP, instead of `size`.

    Returns:
        pixels float32 [V,3,S,S]; masks bool [V,1,S,S] (resized nearest); valid bool [K];
        boxes int64 [V,4] in pixels, x1 and y1 exclusive.

    Raises:
        ValueError: shapes or dtype of image and masks do not fit, an unknown `fill`, or two different sizes.
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise ValueError(f"image must be uint8 [3,H,W], is {image.dtype} {list(image.shape)}")
    if masks.ndim != 3 or masks.shape[1:] != image.shape[1:]:
        raise ValueError(f"masks must be [K,{image.shape[1]},{image.shape[2]}], are {list(masks.shape)}")
    if fill not in get_args(Fill):
        raise ValueError(f"fill must be one of {get_args(Fill)}, is {fill!r}")
    if clip_input is None:
        clip_input = ClipInput(size)
    elif size not in (ClipInput.size, clip_input.size):
        raise ValueError(f"size is {size} and that of clip_input {clip_input.size}: give one of them")

    inside_KHW = masks if masks.dtype == torch.bool else masks > threshold
    valid_K = inside_KHW.flatten(1).any(dim=1) if len(masks) else torch.zeros(0, dtype=torch.bool, device=image.device)
    inside_VHW = inside_KHW[valid_K]
    if not len(inside_VHW):
        pixels = torch.zeros((0, 3, clip_input.size, clip_input.size), device=image.device)
        return (
            pixels,
            pixels[:, :1].bool(),
            valid_K,
            torch.zeros((0, 4), dtype=torch.int64, device=image.device),
        )

    height, width = image.shape[1:]
    boxes = [expand_box(tuple(box), expand, width, height) for box in tight_boxes(inside_VHW).tolist()]
    regions = [
        cut_window(image, inside_HW, box, clip_input, fill) for box, inside_HW in zip(boxes, inside_VHW, strict=True)
    ]
    return (
        torch.stack([region[0] for region in regions]),
        torch.stack([region[1] for region in regions]),
        valid_K,
        torch.tensor(boxes, dtype=torch.int64, device=image.device),
    )


def cut_window(
    image_3HW: torch.Tensor,
    inside_HW: torch.Tensor,
    window: tuple[int, int, int, int],
    clip_input: ClipInput,
    fill: Fill,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One window of an image as CLIP input: blank outside the mask, normalise, resize (see `masked_regions`).

    Args:
        image_3HW: uint8, RGB.
        inside_HW: bool, the mask.
        window: x0 y0 x1 y1 in pixels, x1 and y1 exclusive.

    Returns:
        pixels float32 [3,S,S]; mask bool [1,S,S], cut and resized (nearest) with the same window.
    """
    x0, y0, x1, y1 = window
    size = clip_input.size
    mean_C, std_C = _mean_and_std(clip_input, image_3HW.device)
    inside_hw = inside_HW[y0:y1, x0:x1]
    crop_Chw = image_3HW[:, y0:y1, x0:x1].to(torch.float32, memory_format=torch.contiguous_format)
    crop_Chw = crop_Chw.sub_(mean_C).div_(std_C)
    if fill != "none":
        blank_C = torch.zeros_like(mean_C) if fill == "mean" else -mean_C / std_C  # in normalised values
        crop_Chw = torch.where(inside_hw, crop_Chw, blank_C)
    mask = F.interpolate(inside_hw[None, None].to(torch.uint8), (size, size), mode="nearest")
    return _resize_bicubic(crop_Chw, size), mask[0].bool()


@lru_cache
def _mean_and_std(clip_input: ClipInput, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """For pixels of 0..255, float32 [3,1,1]. Kept, since every region needs them and making them waits for the GPU."""
    mean_3, std_3 = torch.tensor(clip_input.mean, device=device), torch.tensor(clip_input.std, device=device)
    return mean_3.mul(255).view(3, 1, 1), std_3.mul(255).view(3, 1, 1)


def _resize_bicubic(image_Chw: torch.Tensor, size: int) -> torch.Tensor:
    """float32 [C,h,w] → [C,S,S]: cubic convolution (a = −0.75) at pixel centres, no antialias, aspect not kept."""
    if image_Chw.device.type != "cpu":
        return F.interpolate(image_Chw[None], (size, size), mode="bicubic", align_corners=False)[0]
    # On the CPU, OpenCV computes the same several times faster than torch, and nearer to the exact result.
    resized_CSS = torch.empty((len(image_Chw), size, size))
    for plane_hw, resized_SS in zip(image_Chw.numpy(), resized_CSS.numpy(), strict=True):
        cv2.resize(plane_hw, (size, size), dst=resized_SS, interpolation=cv2.INTER_CUBIC)
    return resized_CSS
