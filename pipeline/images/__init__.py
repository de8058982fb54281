"""Images: from the bytes of a file to an upright RGB picture, whatever cameras and programs wrote into it.

`reading` is the only place where image files are decoded; `kinds`, `directory` and `metadata` know what files are made
of apart from pixels.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.images.config import ImagesConfig, WebConfig
    from pipeline.images.reading import (
        FORMATS,
        ImageProblem,
        UprightJpeg,
        UprightPixels,
        costs_one_image,
        decode_jpeg,
        open_image,
        read_upright,
        size_of,
        turned,
        upright_pixels,
    )

__all__ = [
    "FORMATS",
    "ImageProblem",
    "ImagesConfig",
    "UprightJpeg",
    "UprightPixels",
    "WebConfig",
    "costs_one_image",
    "decode_jpeg",
    "open_image",
    "read_upright",
    "size_of",
    "turned",
    "upright_pixels",
]

__getattr__ = lazy_imports(__name__)
