"""The region of a training sample: a random window around the mask, the same for image and mask."""

import numpy as np
import torch
from torchvision.transforms import RandomResizedCrop

from pipeline.masks.boxes import expand_box
from pipeline.regions import Fill, Windows, cut_windows, tight_boxes
from pipeline.regions.clip_input import ClipInput
from pipeline.training.samples import DataConfig

_RATIO = (3 / 4, 4 / 3)  # aspect ratio of the window, as in the reference's training


def training_region(
    image: torch.Tensor,
    mask: torch.Tensor,
    config: DataConfig,
    *,
    seed: tuple[int, int, int],
    clip_input: ClipInput,
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Cut the CLIP input of a training step out of a stored crop.

    A masked sample: a window inside the mask's tight box (scaled by `config.expand`), blank outside the mask. A
    sample without mask (a share of `config.unmasked_share`): a window inside the whole stored crop, with background.
    The window is that of the reference's RandomResizedCrop; one that would miss the mask gives way to the whole box.

    Args:
        image: uint8 [3,h,w], RGB.
        mask: bool [h,w], with at least one pixel.
        seed: (seed, epoch, row): the same numbers make the same region.

    Returns:
        pixels float32 [3,S,S]; mask bool [1,S,S], all ones for a sample without mask; whether it is one.
    """
    height, width = mask.shape
    draw, torch_seed = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    unmasked = bool(draw / 2**64 < config.unmasked_share)
    if unmasked:
        box, mask = (0, 0, width, height), torch.ones_like(mask)
    else:
        box = expand_box(tuple(tight_boxes(mask[None])[0].tolist()), config.expand, width, height)
    window = _random_window(box, config.min_scale, int(torch_seed))
    x0, y0, x1, y1 = window
    if not mask[y0:y1, x0:x1].numpy().any():
        window = box
    fill: Fill = "none" if unmasked else config.fill
    windows = Windows.of_crops([image.permute(1, 2, 0).numpy()], [mask.numpy()], [window])
    [pixels], [mask] = cut_windows(windows, clip_input, fill)
    return pixels, mask, unmasked


def _random_window(box: tuple[int, int, int, int], min_scale: float, seed: int) -> tuple[int, int, int, int]:
    if min_scale == 1:
        return box
    x0, y0, x1, y1 = box
    # torchvision draws from the global generator. (torch.manual_seed would keep a stack trace of every call, for a CUDA
    # that may be started later.)
    state = torch.random.get_rng_state()
    torch.random.default_generator.manual_seed(seed)
    shape = torch.empty(()).expand(1, y1 - y0, x1 - x0)
    top, left, height, width = RandomResizedCrop.get_params(shape, (min_scale, 1.0), _RATIO)
    torch.random.set_rng_state(state)
    return x0 + left, y0 + top, x0 + left + width, y0 + top + height
