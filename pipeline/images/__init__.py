"""Images: from the bytes of a file to an upright RGB picture, whatever cameras and programs wrote into it.

`reading` is the only place where image files are decoded; `kinds`, `directory` and `metadata` know what files are made
of apart from pixels.
"""

from pipeline.images.reading import (
    FORMATS,
    ImageProblem,
    ImagesConfig,
    UprightJpeg,
    costs_one_image,
    decode_jpeg,
    open_image,
    read_upright,
    size_of,
    turned,
)

__all__ = [
    "FORMATS",
    "ImageProblem",
    "ImagesConfig",
    "UprightJpeg",
    "costs_one_image",
    "decode_jpeg",
    "open_image",
    "read_upright",
    "size_of",
    "turned",
]
