"""Training regions made one after the other in float, with torchvision's window out of torch's global generator."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torchvision.transforms import RandomResizedCrop

from pipeline.masks.boxes import expand_box
from pipeline.regions import tight_boxes
from pipeline.regions.clip_input import ClipInput
from pipeline.training.config import DataConfig


def region_by_itself(
    image: torch.Tensor, mask: torch.Tensor, config: DataConfig, seed: tuple[int, int, int], clip_input: ClipInput
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Pixels float32 [3,S,S], mask bool [1,S,S], and whether it is shown without mask.

    Args:
        image: uint8 [3,h,w].
        mask: bool [h,w].
    """
    height, width = mask.shape
    draw, torch_seed = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    unmasked = bool(draw / 2**64 < config.unmasked_share)
    if unmasked:
        box, mask = (0, 0, width, height), torch.ones_like(mask)
    else:
        box = expand_box(tuple(tight_boxes(mask[None])[0].tolist()), config.expand, width, height)
    x0, y0, x1, y1 = window_by_torchvision(box, config.min_scale, int(torch_seed))
    if not mask[y0:y1, x0:x1].any():
        x0, y0, x1, y1 = box
    fill = "none" if unmasked else config.fill
    return *cut(image[:, y0:y1, x0:x1], mask[y0:y1, x0:x1], fill, clip_input), unmasked


def window_by_torchvision(box: tuple[int, int, int, int], min_scale: float, seed: int) -> tuple[int, int, int, int]:
    if min_scale == 1:
        return box
    x0, y0, x1, y1 = box
    torch.manual_seed(seed)
    shape = torch.empty(1, y1 - y0, x1 - x0)
    top, left, height, width = RandomResizedCrop.get_params(shape, [min_scale, 1.0], [3 / 4, 4 / 3])
    return x0 + left, y0 + top, x0 + left + width, y0 + top + height


def cut(
    image: torch.Tensor, inside: torch.Tensor, fill: str, clip_input: ClipInput
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalise, blank outside the mask, resize: each plane by OpenCV, the mask by torch."""
    size = clip_input.size
    mean, std = (torch.tensor(values).mul(255).view(3, 1, 1) for values in (clip_input.mean, clip_input.std))
    pixels = image.to(torch.float32, memory_format=torch.contiguous_format).sub_(mean).div_(std)
    if fill != "none":
        pixels = torch.where(inside, pixels, torch.zeros_like(mean) if fill == "mean" else -mean / std)
    planes = [cv2.resize(plane, (size, size), interpolation=cv2.INTER_CUBIC) for plane in pixels.numpy()]
    mask = F.interpolate(inside[None, None].to(torch.uint8), (size, size), mode="nearest")
    return torch.from_numpy(np.stack(planes)), mask[0].bool()
