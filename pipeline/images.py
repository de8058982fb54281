"""Image files as found in the wild → upright RGB JPEG bytes of bounded size.

Between the stages of the pipeline travel JPEG bytes, never decoded pixels. A file that already is an upright
JPEG within the limits passes through untouched.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import UserError

# Pillow's own limit only warns; ImagesConfig.max_pixels decides instead.
Image.MAX_IMAGE_PIXELS = None

_ORIENTATION = 0x0112  # EXIF tag


@dataclass
class ImagesConfig:
    """Limits on what is read."""

    max_side: int = 2048
    """Larger images are scaled down to this longest side (px) before anything else; 0 keeps every size.
    Bounds the memory of all later stages."""
    min_side: int = 8
    """Images with a side shorter than this (px) are rejected."""
    max_pixels: int = 100_000_000
    """Images with more pixels are rejected unread: decompression bombs."""


class ImageProblem(Exception):
    """An image that gives nothing: `reason` is a short code, `detail` says what was found."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def costs_one_image(error: Exception) -> bool:
    """Whether an error is about the image at hand, rather than about storage, memory or the configuration."""
    # torch's OutOfMemoryError by name: not every worker has imported torch.
    return not isinstance(error, OSError | MemoryError | UserError) and type(error).__name__ != "OutOfMemoryError"


@dataclass(frozen=True)
class UprightJpeg:
    """An upright RGB or grey JPEG. Sizes in pixels; `original_*` before scaling down, but upright."""

    data: bytes
    width: int
    height: int
    original_width: int
    original_height: int


def read_upright(data: bytes, config: ImagesConfig) -> UprightJpeg:
    """Decode any image file fully, turn it upright, and give it as JPEG within the configured limits.

    Transparent pixels become white. Files that are JPEG, upright and within `max_side` keep their bytes.

    Raises:
        ImageProblem: `empty_file`, `not_an_image`, `damaged`, `too_many_pixels`, `too_small`.
    """
    if not data:
        raise ImageProblem("empty_file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # corrupt EXIF and the like: the pixels decide
            return _read_upright(data, config)
    except UnidentifiedImageError:
        raise ImageProblem("not_an_image", f"first bytes {data[:8].hex(' ')}") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageProblem("damaged", str(error)) from error


def _read_upright(data: bytes, config: ImagesConfig) -> UprightJpeg:
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    if width * height > config.max_pixels:
        raise ImageProblem("too_many_pixels", f"{width}×{height}, images.max_pixels is {config.max_pixels}")
    if min(width, height) < config.min_side:
        raise ImageProblem("too_small", f"{width}×{height}, images.min_side is {config.min_side}")

    orientation = image.getexif().get(_ORIENTATION, 1)
    scale = min(1.0, config.max_side / max(width, height)) if config.max_side else 1.0
    untouched = image.format == "JPEG" and image.mode in ("RGB", "L") and orientation == 1 and scale == 1.0
    if scale < 1.0:
        # JPEG decodes at 1/2, 1/4 or 1/8 directly: a 24-megapixel photograph never exists in full.
        image.draft("RGB", (round(width * scale), round(height * scale)))
    image.load()
    if untouched:
        return UprightJpeg(data, width, height, width, height)

    image = _to_rgb(ImageOps.exif_transpose(image))
    if 5 <= orientation <= 8:
        width, height = height, width
    if scale < 1.0:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return UprightJpeg(buffer.getvalue(), *image.size, width, height)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
        grey = np.asarray(image, dtype=np.float32)
        full_scale = 65535.0 if grey.max() > 255 else 255.0
        return Image.fromarray((grey * (255.0 / full_scale)).clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG bytes of an `UprightJpeg` → uint8 [H, W, 3] RGB."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
