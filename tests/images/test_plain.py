"""Masks and JPEG headers read in the quick way are what the careful way reads; all others are left to it."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from PIL import Image, PngImagePlugin

from pipeline.images import open_image
from pipeline.images.plain import plain_jpeg_size, plain_mask

LIMIT = 10_000


def png(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def jpeg(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def hand_made(header: bytes, *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


ONE_BIT_8X2 = b"\0\0\0\x08\0\0\0\x02\x01\0\0\0\0"
ROWS = zlib.compress(b"\0\xaa\0\x0f")
DISC = np.hypot(*np.mgrid[-1:1:31j, -1:1:45j]) < 0.8


@given(numpy_strategies.arrays(bool, st.tuples(st.integers(1, 90), st.integers(1, 90))), st.integers(0, 9))
@settings(deadline=None)
def test_masks_are_what_pillow_reads(mask, level):
    data = png(mask, compress_level=level)
    found = plain_mask(data, LIMIT)
    assert found.dtype == bool
    assert (found == mask).all()
    assert (found == np.array(open_image(data, ("PNG",)))).all()


def test_every_filter_of_a_row():
    """Depth of one bit: a byte is eight pixels, and filters work on bytes."""
    rows = b"".join(bytes([filter, 0x5A, 0x33]) for filter in (0, 1, 2, 3, 4, 4, 3, 2, 1))
    data = hand_made(b"\0\0\0\x0f\0\0\0\x09\x01\0\0\0\0", chunk(b"IDAT", zlib.compress(rows)))
    assert (plain_mask(data, LIMIT) == np.array(open_image(data, ("PNG",)))).all()


def test_any_changed_byte_and_any_cut_is_noticed():
    data = png(DISC)
    for offset in range(len(data)):
        changed = bytearray(data)
        changed[offset] ^= 1 << offset % 8
        assert plain_mask(bytes(changed), LIMIT) is None, offset
        assert plain_mask(data[:offset], LIMIT) is None, offset


def text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b")
    return info


@pytest.mark.parametrize(
    "data",
    [
        b"",
        png(DISC.astype(np.uint8)),
        png(np.zeros((5, 5, 3), np.uint8)),
        png(DISC, pnginfo=text()),
        png(DISC) + b"\0",
        png(np.random.default_rng(0).random((1500, 1500)) < 0.5),  # several chunks of pixels
        hand_made(ONE_BIT_8X2[:-1] + b"\x01", chunk(b"IDAT", ROWS)),  # interlaced
        hand_made(b"\0\0\0\x08\0\0\0\x02\x01\x03\0\0\0", chunk(b"IDAT", ROWS)),  # palette
        hand_made(b"\0\0\0\0\0\0\0\x02\x01\0\0\0\0", chunk(b"IDAT", ROWS)),
        hand_made(ONE_BIT_8X2, chunk(b"IDAT", zlib.compress(b"\0\xaa\x05\x0f"))),  # no such filter
        hand_made(ONE_BIT_8X2, chunk(b"IDAT", b"no zlib")),
        hand_made(ONE_BIT_8X2),
    ],
)
def test_other_pngs_are_left_to_the_careful_way(data):
    assert plain_mask(data, 10**7) is None


@pytest.mark.parametrize("pixels", [zlib.compress(b"\0\xaa"), ROWS[:-5], zlib.compress(b"\0\xaa\0\x0f\0\xaa")])
def test_rows_too_few_and_too_many_are_taken_as_by_pillow(pixels):
    """It says nothing of them; the checksum in the manifest is what notices."""
    data = hand_made(ONE_BIT_8X2, chunk(b"IDAT", pixels))
    assert (plain_mask(data, LIMIT) == np.array(open_image(data, ("PNG",)))).all()


def test_the_limit_of_pixels():
    assert plain_mask(png(DISC), DISC.size) is not None
    assert plain_mask(png(DISC), DISC.size - 1) is None


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 100), st.sampled_from([0, 1, 2]), st.booleans())
@settings(deadline=None)
def test_sizes_of_jpegs(width, height, quality, subsampling, optimize):
    data = jpeg(Image.new("RGB", (width, height), "red"), quality=quality, subsampling=subsampling, optimize=optimize)
    assert plain_jpeg_size(data) == (width, height)


def test_a_jpeg_with_metadata_is_no_other():
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    data = jpeg(Image.new("RGB", (7, 5)), exif=exif, comment="c", icc_profile=b"x" * 99, restart_marker_blocks=1)
    assert plain_jpeg_size(data) == (7, 5)


def test_other_jpegs_are_left_to_the_careful_way():
    image = Image.new("RGB", (30, 20))
    for other in (
        jpeg(image, progressive=True),
        jpeg(image.convert("L")),
        jpeg(image.convert("CMYK")),
        png(DISC),
        b"",
        b"\xff\xd8",
    ):
        assert plain_jpeg_size(other) is None
    plain = jpeg(image)
    scan = plain.index(b"\xff\xda")
    for end in range(scan + 14):
        assert plain_jpeg_size(plain[:end]) is None
    assert plain_jpeg_size(plain[: scan + 4] + b"\x01" + plain[scan + 5 :]) is None, "more scans follow"
