"""The pixels of a picture where they lie: `numpy.asarray` copies them, which takes longer than some do with them."""

import numpy as np
import pyarrow as pa
from PIL import Image


def pixels_in_place(image: Image.Image) -> np.ndarray:
    """uint8 [H,W,1] of a loaded picture of mode L, [H,W,4] of RGB and RGBA: the memory of the picture itself, where it
    lies in one piece. The fourth byte of RGB says nothing.
    """
    try:
        pixels = pa.array(image)
    except ValueError:  # more than 16 MB lie in several pieces
        return np.asarray(image.convert("RGBA" if image.mode == "RGB" else image.mode)).reshape(*image.size[::-1], -1)
    values = pixels if image.mode == "L" else pixels.flatten()
    # (`to_numpy` would import pandas, which takes a second.)
    return np.frombuffer(values.buffers()[1], np.uint8, len(values)).reshape(image.height, image.width, -1)
