"""Image files as found in the wild → upright RGB JPEG bytes of bounded size.

Between the stages of the pipeline travel JPEG bytes, never decoded pixels. A file that already is an upright
JPEG within the limits passes through untouched.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import UserError
from pipeline.images import directory, kinds
from pipeline.images.config import ImagesConfig
from pipeline.images.metadata import without_metadata
from pipeline.images.perceptual_hash import perceptual_hash

# Pillow's own limit only warns; `max_pixels` decides instead, in `open_image`, which alone opens image files.
Image.MAX_IMAGE_PIXELS = None
# What Pillow warns of (odd fields, palettes with transparency) is either read as it should be or costs the image.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Pillow reads some forty formats more, a few of them by running other programs.
_WANTED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
Image.init()
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
"""What is read: photographs as cameras, the web and data sets have them. (Pillow before 11.3 has no AVIF.)"""

_ANY_NUMBER = 2**62
_LONGEST_JPEG = 65500  # px, of libjpeg
# Each costs as much time as all pixels, and may take a dozen bytes of the file. Usual programs write ten.
_MOST_SCANS = 100
_SCAN = b"\xff\xda"

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageProblem(Exception):
    """An image that cannot be used: `reason` is a short code, `detail` says what was found."""

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

    data: bytes | memoryview
    """A view: of memory that other processes share."""
    width: int
    height: int
    original_width: int
    original_height: int
    orientation: int = 1
    """EXIF orientation of the file, by which it was turned; 1: as it is stored."""
    perceptual_hash: int | None = None
    """64 bits (`pipeline.images.perceptual_hash`); None: it was not asked for."""


@dataclass(frozen=True)
class UprightPixels:
    """An upright image, decoded."""

    pixels: np.ndarray
    """uint8 [H,W,3] RGB."""
    orientation: int
    """EXIF orientation of the file, by which it was turned; 1: as it is stored."""


def open_image(
    data: bytes,
    formats: Sequence[str] = FORMATS,
    max_pixels: int = ImagesConfig.max_pixels,
    draft: tuple[int, int] | None = None,
) -> Image.Image:
    """Decode an image file fully, as it is stored: not turned, in the mode that it has. Of several frames the first.

    Args:
        formats: what the file may be, of `FORMATS`; the file's name is not asked.
        max_pixels: files with more are not decoded.
        draft: a JPEG may come at 1/2, 1/4 or 1/8 of its size, but not smaller than this width and height.

    Raises:
        ImageProblem: `empty_file`, `not_an_image`, `too_many_pixels`, `damaged`; nothing else, whatever the bytes are.
    """
    with _reading():
        image = _opened(data, formats, max_pixels)[0]
        if draft:
            image.draft("RGB", draft)
        image.load()
    return image


def size_of(
    data: bytes, formats: Sequence[str] = FORMATS, max_pixels: int = ImagesConfig.max_pixels
) -> tuple[int, int]:
    """Width and height of an image file as it is stored, which is not decoded for it.

    Raises:
        ImageProblem: as `open_image`; damage that the header does not show stays unseen.
    """
    with _reading():
        return _opened(data, formats, max_pixels)[0].size


def read_upright(data: bytes, config: ImagesConfig, *, hashed: bool = False) -> UprightJpeg:
    """Decode any image file fully, turn it upright, and return it as JPEG within the configured limits.

    It is turned by its EXIF orientation. Transparent pixels become white. Files that are JPEG, upright and within
    `max_side` keep their bytes.

    Args:
        hashed: its perceptual hash is wanted, too.

    Raises:
        ImageProblem: `empty_file`, `not_an_image`, `damaged`, `too_many_pixels`, `too_small`, `too_large`; nothing
            else, whatever the bytes are.
    """
    with _reading():
        return _read_upright(data, config, hashed)


def upright_pixels(data: bytes, max_pixels: int = ImagesConfig.max_pixels) -> UprightPixels:
    """Decode any image file fully and turn it upright, as `read_upright` does, but at its size and without loss.

    Args:
        max_pixels: files with more are not decoded.

    Raises:
        ImageProblem: `empty_file`, `not_an_image`, `damaged`, `too_many_pixels`, `too_large`; nothing else, whatever
            the bytes are. (`too_large`: what is drawn of it could not be written as JPEG.)
    """
    with _reading():
        image, orientation = _opened(data, FORMATS, max_pixels)
        _check_sides(image.size)
        image.load()
        turn = orientation if orientation in _TURNS else 1
        return UprightPixels(np.ascontiguousarray(turned(np.asarray(_to_rgb(image)), turn)), turn)


def _read_upright(data: bytes, config: ImagesConfig, hashed: bool) -> UprightJpeg:
    image, orientation = _opened(data, FORMATS, config.max_pixels, "images.max_pixels")
    width, height = image.size
    if min(width, height) < config.min_side:
        raise ImageProblem("too_small", f"{width}×{height}, images.min_side is {config.min_side}")

    scale = min(1.0, config.max_side / max(width, height)) if config.max_side else 1.0
    untouched = image.format == "JPEG" and image.mode in ("RGB", "L") and orientation == 1 and scale == 1.0
    if scale < 1.0:
        # JPEG decodes at 1/2, 1/4 or 1/8 directly: a 24-megapixel photograph never exists in full.
        image.draft("RGB", (round(width * scale), round(height * scale)))
    image.load()
    if untouched:
        return UprightJpeg(
            data, width, height, width, height, perceptual_hash=perceptual_hash(image) if hashed else None
        )

    image = _to_rgb(image)
    if orientation in _TURNS:
        # Not by Pillow's exif_transpose: it also writes EXIF anew, and fails at fields that are not as it expects.
        image = image.transpose(_TURNS[orientation])
        if orientation >= 5:
            width, height = height, width
    if scale < 1.0:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    _check_sides(image.size)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return UprightJpeg(
        buffer.getvalue(),
        *image.size,
        width,
        height,
        orientation if orientation in _TURNS else 1,
        perceptual_hash(image) if hashed else None,
    )


def _check_sides(size: tuple[int, int]) -> None:
    width, height = size
    if max(size) > _LONGEST_JPEG:
        raise ImageProblem("too_large", f"{width}×{height}, a side of a JPEG ends at {_LONGEST_JPEG}; make it smaller")


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """An array [H, W] or [H, W, …] turned as `read_upright` turns a file with this EXIF orientation."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _opened(data: bytes, formats: Sequence[str], max_pixels: int, limit: str = "the limit") -> tuple[Image.Image, int]:
    """An image that is not decoded yet, and its EXIF orientation."""
    if not data:
        raise ImageProblem("empty_file")
    kind, description = kinds.image_kind(data)
    if kind not in formats:
        expected = f"; expected is {' or '.join(formats)}" if kind in FORMATS else ""
        raise ImageProblem("not_an_image", description + expected)
    needed, exif = without_metadata(data, kind)
    if kind == "JPEG" and (scans := needed.count(_SCAN)) > _MOST_SCANS:
        raise ImageProblem("damaged", f"it has {scans} scans, a picture has {_MOST_SCANS} at most")
    image = Image.open(io.BytesIO(needed), formats=(kind,))
    width, height = image.size
    if width * height > max_pixels:
        raise ImageProblem("too_many_pixels", f"{width}×{height}, {limit} is {max_pixels}")
    # Of formats whose metadata stays, Pillow hands out the block as it is, or what the file says of turning (AVIF).
    return image, directory.orientation(exif or image.info.get("exif") or b"")


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever goes wrong in reading bytes that lie in memory is about these bytes."""
    try:
        yield
    except ImageProblem:
        raise
    except UnidentifiedImageError as error:
        raise ImageProblem("damaged", "its header cannot be read") from error
    except OSError as error:
        raise ImageProblem("damaged", str(error)) from error
    # Decoders meet sizes, counts and offsets that an attacker chose: struct.error, TypeError, OverflowError,
    # ZeroDivisionError, RecursionError … and MemoryError, when a field of the file asks for more than there could be.
    except Exception as error:
        raise ImageProblem("damaged", f"{type(error).__name__}: {error}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # Grey of more than 8 bits: Pillow's own conversion clips at 255 instead of scaling.
        stored = np.asarray(image, dtype=np.float32)
        largest = stored.max(initial=0, where=np.isfinite(stored))
        whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((white for white in whites if largest <= white), whites[-1])
        grey = np.nan_to_num(stored, nan=0.0).clip(0, white) * (255.0 / white)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")


def decode_jpeg(data: bytes | memoryview) -> np.ndarray:
    """JPEG bytes of an `UprightJpeg` → uint8 [H, W, 3] RGB.

    Raises:
        ImageProblem: as `open_image`.
    """
    # How many pixels it may have was decided where it was made.
    return np.asarray(open_image(bytes(data), ("JPEG",), max_pixels=_ANY_NUMBER).convert("RGB"))
