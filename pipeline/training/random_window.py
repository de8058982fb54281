"""The window of torchvision's RandomResizedCrop, drawn from a generator of its own.

`RandomResizedCrop.get_params` draws from torch's global generator, one number at a time. A loader needs a window that
is a function of the sample's seed. To save, seed and restore the global generator for every sample, and to draw twenty
numbers one by one where the shape of a box allows no window, cost more than all other decisions about a sample.
"""

import math

import torch

_ATTEMPTS = 10
RATIO = (3 / 4, 4 / 3)
"""Aspect ratio, width over height, of a window: the reference's."""
_LOW, _HIGH = torch.log(torch.tensor(RATIO)).tolist()  # in float32, as torchvision does


def random_window(width: int, height: int, min_scale: float, seed: int) -> tuple[int, int, int, int]:
    """The window that torchvision finds after `torch.manual_seed(seed)`, in a box of the given size in pixels.

    Its area is `min_scale`..1 of the box's, its aspect ratio within `RATIO`. If ten attempts find none that fits, it is
    the central part of the box whose aspect ratio is nearest to the box's.

    Returns:
        x0 y0 x1 y1 in pixels from the box's corner, x1 and y1 exclusive.
    """
    generator = torch.Generator()

    def numbers(low: float, high: float, count: int) -> torch.Tensor:
        """The first numbers of the seed's sequence, scaled."""
        return torch.empty(count).uniform_(low, high, generator=generator.manual_seed(seed))

    # Every attempt draws an area, then the logarithm of a ratio.
    areas = numbers(min_scale, 1.0, 2 * _ATTEMPTS)[::2].tolist()
    ratios = numbers(_LOW, _HIGH, 2 * _ATTEMPTS)[1::2].exp().tolist()
    for attempt, (area, ratio) in enumerate(zip(areas, ratios, strict=True), start=1):
        area *= width * height
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            numbers(0, 1, 2 * attempt)  # the place is drawn next
            y0, x0 = (int(torch.randint(0, room + 1, (1,), generator=generator)) for room in (height - h, width - w))
            return x0, y0, x0 + w, y0 + h
    return _central(width, height)


def _central(width: int, height: int) -> tuple[int, int, int, int]:
    w, h = width, height
    if width / height < min(RATIO):
        h = round(width / min(RATIO))
    elif width / height > max(RATIO):
        w = round(height * max(RATIO))
    x0, y0 = (width - w) // 2, (height - h) // 2
    return x0, y0, x0 + w, y0 + h
