"""A perceptual hash of a picture: near-duplicates have nearly the same 64 bits, whatever their size and compression.

It is pHash (Zauner 2010; `imagehash.phash`): a bit for each of the 8×8 lowest frequencies of the cosine transform of
the grey picture, set where the coefficient is above the median of all. Of the picture's rows 32 are transformed, spread
evenly, at full width, where other programs shrink the whole picture first: that costs ten times as much, and the stage
that reads images must not notice. So its bits are near theirs and not the same, and a few more of them change when a
picture is made smaller. Whoever mirrors, turns or crops a picture makes another one.
"""

from functools import lru_cache

import numpy as np
from PIL import Image

from pipeline.images.pixels import pixels_in_place

PLAIN = 0
"""The hash of a picture without structure, which tells it from no other such picture. (No other picture has it.)"""

_FREQUENCIES = 8
_ROWS = 32
_LUMA = (0.299, 0.587, 0.114, 0.0)
"""Of R, G, B (ITU-R BT.601), and of the byte that Pillow keeps beside them."""
_LEAST = 1.0
"""Grey levels that the coefficient of one frequency has to reach: below that is what JPEG leaves of a plain area."""
_STEP = 1 / 256
"""Grey levels. Coefficients are rounded to it, so that those that are 0 but for rounding errors are equal."""


def perceptual_hash(image: Image.Image) -> int:
    """The hash of an upright picture of mode RGB or L that has been loaded: 64 bits, or `PLAIN`."""
    pixels = pixels_in_place(image)
    height, width, channels = pixels.shape
    count = min(height, _ROWS)
    rows = (2 * np.arange(count) + 1) * height // (2 * count)
    sampled = pixels.reshape(height, width * channels)[rows].astype(np.float32)
    transformed = _cosines(count, 1).T @ (sampled @ _cosines(width, channels))
    coefficients = np.rint(transformed / _STEP).ravel()
    if np.abs(coefficients[1:]).max() < _LEAST / _STEP:  # the first one is the mean grey
        return PLAIN
    ordered = np.sort(coefficients)
    middle = len(ordered) // 2
    bits = coefficients > (ordered[middle - 1] + ordered[middle]) / 2
    return int.from_bytes(np.packbits(bits).tobytes())


@lru_cache(256)
def _cosines(length: int, channels: int) -> np.ndarray:
    """The cosine transform (DCT-II) of `length` values, over their number: float32 [length·channels, F].

    Channels are weighted as they give grey. Frequencies that so few values do not have are 0.
    """
    frequencies = np.arange(_FREQUENCIES)
    cosines = np.cos((2 * np.arange(length)[:, None] + 1) * frequencies * np.pi / (2 * length)) / length
    cosines[:, frequencies >= length] = 0
    luma = np.array(_LUMA if channels == 4 else [1.0])
    return (cosines[:, None] * luma[:, None]).reshape(length * channels, _FREQUENCIES).astype(np.float32)
