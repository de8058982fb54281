"""Image + masks → CLIP inputs: blank outside the mask, crop, normalise, resize (OVSeg Sec. 3.1).

On the CPU one window after the other by OpenCV, which resizes several times faster than torch, and nearer to the exact
result; elsewhere all together (`bulk`).

Shape suffixes: K masks, V valid masks, R windows, H×W the image, h×w a window, S the CLIP input side.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided

from pipeline.masks.boxes import expand_box
from pipeline.regions.bulk import cut_in_bulk
from pipeline.regions.clip_input import ClipInput
from pipeline.regions.config import Fill
from pipeline.regions.normalising import blank_colour, normalised_planes
from pipeline.regions.resampling import nearest
from pipeline.regions.windows import DenseMasks, Window, Windows

_CPU = torch.device("cpu")


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
    if clip_input is None:
        clip_input = ClipInput(size)
    elif size not in (ClipInput.size, clip_input.size):
        raise ValueError(f"size is {size} and that of clip_input {clip_input.size}: give one of them")

    inside_KHW = masks if masks.dtype == torch.bool else masks > threshold
    valid_K = inside_KHW.flatten(1).any(dim=1) if len(masks) else torch.zeros(0, dtype=torch.bool, device=image.device)
    inside_VHW = inside_KHW[valid_K]
    height, width = image.shape[1:]
    boxes: list[Window] = []
    if len(inside_VHW):
        boxes = [expand_box(tuple(box), expand, width, height) for box in tight_boxes(inside_VHW).tolist()]
    windows = _windows_of_frame(image.permute(1, 2, 0), inside_VHW, boxes)
    pixels, region_masks = cut_windows(windows, clip_input, fill)
    boxes_V4 = torch.tensor(boxes, dtype=torch.int64, device=image.device).view(-1, 4)
    return pixels, region_masks, valid_K, boxes_V4


def _windows_of_frame(image_HW3: torch.Tensor, inside_VHW: torch.Tensor, boxes: Sequence[Window]) -> Windows:
    height, width = image_HW3.shape[:2]
    table = [
        (y0 * width + x0, width, x1 - x0, y1 - y0, (index * height + y0) * width + x0, 1, width)
        for index, (x0, y0, x1, y1) in enumerate(boxes)
    ]
    return Windows(
        (image_HW3.contiguous().view(-1, 3),),
        DenseMasks(inside_VHW.flatten()),
        torch.tensor(table, dtype=torch.int64, device=image_HW3.device).view(-1, 7),
        tuple((row[2], row[3]) for row in table),
        thinned=False,
    )


def cut_windows(windows: Windows, clip_input: ClipInput, fill: Fill) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut windows on the device where they are, see `masked_regions`.

    Returns:
        pixels float32 [R,3,S,S]; masks bool [R,1,S,S], cut and resized (nearest) with the same windows.

    Raises:
        ValueError: an unknown `fill`.
    """
    if windows.table.device != _CPU or windows.thinned:
        pixels, masks = cut_in_bulk(windows, clip_input, fill)
        assert masks is not None  # they were asked for
        return pixels, masks
    blank_colour(clip_input, fill, _CPU)  # an unknown fill is told without windows, too
    size = clip_input.size
    pixels_R3SS = torch.empty((len(windows), 3, size, size))
    masks_R1SS = torch.empty((len(windows), 1, size, size), dtype=torch.bool)
    image_P3 = torch.cat(windows.images).numpy() if len(windows.images) != 1 else windows.images[0].numpy()
    inside_M = windows.masks.dense().numpy().view(np.uint8)
    for row, pixels_3SS, mask_1SS in zip(windows.table.tolist(), pixels_R3SS.numpy(), masks_R1SS.numpy(), strict=True):
        first_pixel, image_width, width, height, first_place, column_step, row_step = row
        crop_hw3 = as_strided(image_P3[first_pixel:], (height, width, 3), (3 * image_width, 3, 1))
        inside_hw = np.ascontiguousarray(as_strided(inside_M[first_place:], (height, width), (row_step, column_step)))
        cut_window(normalised_planes(crop_hw3, clip_input), inside_hw, pixels_3SS, clip_input, fill)
        sample_mask(inside_hw, mask_1SS[0])
    return pixels_R3SS, masks_R1SS


def cut_window(
    planes_3hw: Sequence[np.ndarray], inside_hw: np.ndarray, pixels_3SS: np.ndarray, clip_input: ClipInput, fill: Fill
) -> None:
    """One window as CLIP input, by OpenCV.

    Args:
        planes_3hw: its red, green and blue, normalised, float32.
        inside_hw: the mask, uint8, not 0 inside; C-contiguous.
        pixels_3SS: float32, gets the result; C-contiguous.

    Raises:
        ValueError: an unknown `fill`.
    """
    blank_3 = blank_colour(clip_input, fill, _CPU)
    size = pixels_3SS.shape[1:]
    for channel, (plane_hw, pixels_SS) in enumerate(zip(planes_3hw, pixels_3SS, strict=True)):
        if fill == "mean":
            plane_hw = cv2.copyTo(plane_hw, inside_hw)  # 0 elsewhere
        elif blank_3 is not None:
            plane_hw = cv2.copyTo(plane_hw, inside_hw, np.full_like(plane_hw, blank_3[channel]))
        cv2.resize(plane_hw, size, dst=pixels_SS, interpolation=cv2.INTER_CUBIC)


def sample_mask(inside_hw: np.ndarray, mask_SS: np.ndarray) -> None:
    """A mask, uint8, resized to what `mask_SS`, bool, has room for."""
    rows_S, columns_S = (nearest(torch.tensor([extent]), len(mask_SS))[0].numpy() for extent in inside_hw.shape)
    mask_SS[...] = inside_hw[rows_S][:, columns_S]
