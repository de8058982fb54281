"""Small files whose decoding would take all memory or hours."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.images import ImageProblem, ImagesConfig, open_image, read_upright
from tests.images.pictures import checkered, chunk, encoded


def png_bomb(width: int, height: int) -> bytes:
    """A 1-bit mask that has all these pixels, in few bytes."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * 64) for _ in range(height // 64)) + packer.flush()
    header = struct.pack(">LLBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_mask_of_any_size_is_not_decoded():
    bomb = png_bomb(32_768, 32_768)
    assert len(bomb) < 200_000
    with pytest.raises(ImageProblem, match=r"^too_many_pixels: 32768×32768, the limit is 100000000$"):
        open_image(bomb, ("PNG",))
    with pytest.raises(ImageProblem, match="too_many_pixels"):
        read_upright(bomb, ImagesConfig())
    with pytest.raises(ImageProblem, match="too_many_pixels"):
        open_image(encoded(checkered(), "PNG"), max_pixels=96 * 64 - 1)


def test_sides_that_no_jpeg_has():
    long = encoded(Image.new("L", (70_000, 9)), "PNG")
    with pytest.raises(ImageProblem, match=r"^too_large: 70000×9"):
        read_upright(long, ImagesConfig(max_side=0))
    assert read_upright(long, ImagesConfig()).width == 2048


def test_a_jpeg_whose_scans_would_take_hours():
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG", progressive=True)
    good = buffer.getvalue()
    assert read_upright(good, ImagesConfig()).data == good
    last = good[good.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageProblem, match=r"damaged: it has \d+ scans"):
        read_upright(good[:-2] + 20_000 * last + good[-2:], ImagesConfig())


@pytest.mark.parametrize("magic", [b"P4", b"P5", b"P6", b"P1", b"P2", b"P3"])
def test_comments_of_netpbm_files_take_no_time(magic):
    """Pillow reads them letter by letter: these would take minutes."""
    comment = b"# " + b"x" * 6_000_000 + b"\n"
    white = b"" if magic in (b"P1", b"P4") else b" " + comment + b"255"
    raster = {b"P4": b"\xa5" * 8, b"P1": b"1 0 " * 32, b"P5": bytes(range(64)), b"P6": bytes(range(192))}
    content = raster.get(magic, b"7 " * 192)
    plain = magic + b" 8 8" + white.replace(comment, b"") + b"\n" + content
    commented = magic + b"\n" + comment + comment + b"8\t" + comment + b"8" + white + b"\n" + content
    assert np.array_equal(np.asarray(open_image(commented)), np.asarray(open_image(plain)))
