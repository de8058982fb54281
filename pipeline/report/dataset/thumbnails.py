"""Small pictures of mined regions, from their offsets in the tars."""

import io
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from pipeline.dataset.layout import Layout
from pipeline.dataset.sample import DamagedSampleError, damaged_sample, read_sample
from pipeline.images import ImageProblem, open_image
from pipeline.masks.boxes import expand_box
from pipeline.regions.clip_input import OPENAI_MEAN
from pipeline.report.dataset.reading import Pairs
from pipeline.storage.in_threads import in_threads

SIDES = (160, 144, 128, 112, 96, 80, 64)
"""Longest side of a picture in pixels, the largest that the page has room for."""

_READERS = 8
_QUALITY = 72
_TRIED = 16
_ENLARGED = 4.0
"""Small regions are drawn larger, so that the outline does not hide them."""
_PER_LINE = 200
"""Pixels of the longer side for each that lines are wide: large pictures are shown smaller than they are."""
_CLIP_MEAN = tuple(round(255 * value) for value in OPENAI_MEAN)
# The marker of the page's texts (page.css: --mark), between dark lines, so that it shows on any picture.
_OUTLINE, _CASING = (240, 228, 66), (20, 24, 28)


@dataclass(frozen=True)
class Region:
    """A mined pair as its tar has it."""

    details: dict
    """Its row of the manifest, and `crop_x0` … `crop_y1`, the stored window of the image (px)."""
    jpeg: bytes
    mask: bytes
    """1-bit PNG, of the size of the JPEG."""


@dataclass(frozen=True)
class Thumbnail:
    """A region twice, as WebP in base64."""

    details: dict
    outlined: str
    """With its background and the outline of the mask."""
    blanked: str
    """As CLIP sees it, but with its own aspect ratio."""

    @property
    def size(self) -> int:
        """Bytes in the page."""
        return len(self.outlined) + len(self.blanked)


def read_region(layout: Layout, shard: int, offset: int, length: int) -> Region:
    """Read one sample of a tar: one request.

    Raises:
        UserError: the tar is missing or damaged.
        OSError: storage cannot be read.
    """
    members = read_sample(layout, shard, offset, length)
    try:
        return Region(json.loads(members["json"]), members["jpg"], members["mask.png"])
    except (DamagedSampleError, ValueError, RecursionError) as error:
        raise damaged_sample(layout, shard, offset, error) from error


def draw(region: Region, side: int, fill: str, expand: float) -> Thumbnail:
    """Draw both pictures, at most `side` pixels wide and high.

    Args:
        fill, expand: as `pipeline.regions.RegionsConfig` has them.

    Raises:
        ImageProblem: the crop or its mask is damaged.
    """
    details = region.details
    stored = tuple(details[f"crop_{edge}"] for edge in ("x0", "y0", "x1", "y1"))
    pixels, inside = _pixels(region, side)
    # CLIP's window may be smaller than the stored one.
    box = tuple(details[f"box_{edge}"] for edge in ("x0", "y0", "x1", "y1"))
    window = expand_box(box, expand, details["image_width"], details["image_height"])
    x0, y0, x1, y1 = _inside(window, stored, (inside.shape[1], inside.shape[0]))
    blanked = _blank(pixels, inside, fill)[y0:y1, x0:x1]
    return Thumbnail(details, _webp(_outline(pixels, inside)), _webp(blanked))


def draw_outlined(region: Region, side: int) -> str:
    """Draw the first of both pictures alone: WebP in base64. Raises as `draw` does."""
    return _webp(_outline(*_pixels(region, side)))


def _pixels(region: Region, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The stored window, uint8 [h,w,3], and what of it is in the mask, bool [h,w]; `side` is the longer one."""
    mask = open_image(region.mask, ("PNG",)).convert("L")
    scale = min(_ENLARGED, side / max(mask.size))
    width, height = (max(1, round(length * scale)) for length in mask.size)
    size = width, height
    picture = open_image(region.jpeg, ("JPEG",), draft=size)  # at a fraction of its size where that is enough
    pixels = np.array(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    return pixels, np.asarray(mask.resize(size, Image.Resampling.BOX)) >= 128


@dataclass(frozen=True)
class Thumbnails:
    """The pictures of a dataset's pairs."""

    layout: Layout
    fill: str
    expand: float

    def draw(self, pairs: Pairs, chosen: np.ndarray, side: int) -> Iterator[Thumbnail]:
        """Read and draw chosen ones of the pairs, in the order given, several at a time.

        Args:
            chosen: int64 [S], indices into `pairs`.

        Raises:
            UserError, OSError: as `read_region`.
        """

        def one(pair: int) -> Thumbnail:
            offset, length = int(pairs.tar_offset[pair]), int(pairs.tar_length[pair])
            shard = int(pairs.shard[pair])
            region = read_region(self.layout, shard, offset, length)
            try:
                return draw(region, side, self.fill, self.expand)
            # The dataset may be another's, and so may what it says of the crop.
            except (ImageProblem, LookupError, TypeError, ValueError, ArithmeticError, cv2.error) as error:
                raise damaged_sample(self.layout, shard, offset, error) from error

        return in_threads(one, chosen, _READERS)

    def fitting_side(self, pairs: Pairs, chosen: np.ndarray, room: int, sides: Sequence[int] = SIDES) -> int:
        """The largest of `sides` at which the chosen pairs take about `room` bytes of a page, going by the first."""
        tried = chosen[:_TRIED]
        for side in sides[:-1]:
            sizes = [thumbnail.size for thumbnail in self.draw(pairs, tried, side)]
            if sum(sizes) * len(chosen) <= room * len(tried):
                return side
        return sides[-1]


def _outline(pixels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The picture with the edge of the mask drawn inside it, and a dark line on both sides of that."""
    mask = inside.astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    width = max(1, round(max(mask.shape) / _PER_LINE))

    def shrunk(by: int) -> np.ndarray:  # the picture's border is an edge of the mask, too
        return cv2.erode(mask, kernel, iterations=by, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0

    drawn = pixels.copy()
    drawn[(cv2.dilate(mask, kernel, iterations=width) > 0) & ~shrunk(3 * width)] = _CASING
    drawn[inside & ~shrunk(2 * width)] = _OUTLINE
    return drawn


def _blank(pixels: np.ndarray, inside: np.ndarray, fill: str) -> np.ndarray:
    """Pixels outside the mask filled as `pipeline.regions` fills them; the mean is that of OpenAI's CLIPs."""
    if fill == "none":
        return pixels
    return np.where(inside[..., None], pixels, np.array(_CLIP_MEAN if fill == "mean" else (0, 0, 0), np.uint8))


def _inside(window: tuple[int, ...], stored: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a window of the image lies in a picture of the stored window; at least one pixel of it."""
    spans = []
    for axis in (0, 1):
        scale = size[axis] / (stored[axis + 2] - stored[axis])
        start = min(max(round((window[axis] - stored[axis]) * scale), 0), size[axis] - 1)
        end = min(max(round((window[axis + 2] - stored[axis]) * scale), start + 1), size[axis])
        spans.append((start, end))
    (x0, x1), (y0, y1) = spans
    return x0, y0, x1, y1


def _webp(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=_QUALITY, method=2)
    return b64encode(buffer.getvalue()).decode()
