"""Colours as a CLIP takes them: (value / 255 − mean) / std."""

from functools import lru_cache
from typing import get_args

import cv2
import numpy as np
import torch

from pipeline.regions.clip_input import ClipInput
from pipeline.regions.config import Fill


@lru_cache
def mean_and_std(clip_input: ClipInput, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """For pixels of 0..255, float32 [3]. Kept, since making them waits for the GPU."""
    mean_3, std_3 = torch.tensor(clip_input.mean, device=device), torch.tensor(clip_input.std, device=device)
    return mean_3.mul(255), std_3.mul(255)


@lru_cache
def blank_colour(clip_input: ClipInput, fill: Fill, device: torch.device) -> torch.Tensor | None:
    """What lies outside a mask, normalised, float32 [3]; None: it stays as it is.

    Raises:
        ValueError: an unknown `fill`.
    """
    if fill not in get_args(Fill):
        raise ValueError(f"fill must be one of {get_args(Fill)}, is {fill!r}")
    if fill == "none":
        return None
    mean_3, std_3 = mean_and_std(clip_input, device)
    return torch.zeros_like(mean_3) if fill == "mean" else -mean_3 / std_3


def normalised_planes(image_HW3: np.ndarray, clip_input: ClipInput) -> list[np.ndarray]:
    """Red, green and blue of an image uint8 [H,W,3], float32 [H,W] each."""
    planes_3HW = cv2.split(image_HW3)
    return [cv2.LUT(plane_HW, table) for plane_HW, table in zip(planes_3HW, _tables(clip_input), strict=True)]


@lru_cache
def _tables(clip_input: ClipInput) -> np.ndarray:
    """The normalised value of each of 256, float32 [3,256]."""
    mean_3, std_3 = mean_and_std(clip_input, torch.device("cpu"))
    values_256 = torch.arange(256, dtype=torch.float32)
    return values_256.sub(mean_3[:, None]).div(std_3[:, None]).numpy()
