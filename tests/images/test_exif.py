"""EXIF and other metadata: an orientation is applied once, damage costs nothing."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from pipeline.images import FORMATS, ImagesConfig, decode_jpeg, open_image, read_upright, size_of, upright_pixels
from tests.images.pictures import (
    ASCII,
    BYTE,
    FLOAT,
    LONG,
    LOSSLESS,
    RATIONAL,
    SHORT,
    UNDEFINED,
    checkered,
    encoded,
    exif_block,
)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "count", "value", "turned"),
    [
        (SHORT, 1, "H6", True),
        (BYTE, 1, "B6", True),
        (LONG, 1, "L6", True),
        (SHORT, 2, "H6", True),
        (SHORT, 0, "H6", True),
        (SHORT, 1, "H1", False),
        (SHORT, 1, "H0", False),
        (SHORT, 1, "H9", False),
        (SHORT, 1, "H65535", False),
        (SHORT, 2**31, "H6", False),
        (ASCII, 2, b"6", False),
        (ASCII, 1, b"", False),
        (RATIONAL, 1, "L6", False),
        (UNDEFINED, 1, "B6", False),
        (FLOAT, 1, "f6", False),
        (0, 1, "H6", False),
        (999, 1, "H6", False),
    ],
)
def test_an_orientation_of_any_type(order, kind, count, value, turned):
    if isinstance(value, str):
        number = float(value[1:]) if value[0] == "f" else int(value[1:])
        value = struct.pack(order + value[0], number)
    block = exif_block(order, kind, count, value)
    stored = encoded(checkered(), "JPEG", quality=95)
    data = stored[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + stored[2:]
    read = read_upright(data, ImagesConfig())
    assert (read.width, read.height) == ((64, 96) if turned else (96, 64))
    if not turned:
        assert read.data == data


@pytest.mark.parametrize("cut", range(6, 28))
def test_exif_that_ends_early_turns_nothing(cut):
    block = exif_block("<", SHORT, 1, b"\x06")[:cut]
    read = read_upright(encoded(checkered(), "JPEG", exif=block), ImagesConfig())
    assert (read.width, read.height) == (96, 64)


def test_other_fields_of_exif_may_be_anything():
    fields = b"".join(
        struct.pack("<HHLL", tag, kind, count, value)
        for tag, kind, count, value in [
            (0x0100, ASCII, 4, 0x383231),  # the width as text, at which others fail when they write EXIF anew
            (0x0112, SHORT, 1, 6),
            (0x011A, RATIONAL, 1, 0),
            (0x8769, SHORT, 1, 3),
            (0x8825, LONG, 1, 2**32 - 1),
        ]
    )
    block = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 5) + fields + bytes(4)
    read = read_upright(encoded(checkered(), "JPEG", exif=block), ImagesConfig())
    assert (read.width, read.height) == (64, 96)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [*LOSSLESS.items(), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"big_tiff": True})],
)
def test_every_format_is_turned_once(kind, options, orientation):
    if kind not in FORMATS:
        pytest.skip(f"this Pillow reads no {kind}")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(checkered(), kind, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    read = read_upright(data, ImagesConfig())
    pixels = decode_jpeg(read.data)
    assert (read.original_width, read.original_height) == (expected.shape[1], expected.shape[0])
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).mean() < 4
    upright = upright_pixels(data)
    assert (upright.pixels == expected).all()
    assert upright.orientation == orientation
    # As it is stored, for labels that follow the stored rows.
    assert size_of(data) == (96, 64)
    assert open_image(data).size == (96, 64)


@pytest.mark.parametrize("value", [2**32 - 1, 3, 8, 0])
@pytest.mark.parametrize("tag", [0x8769, 0x8825, 0xA005])
def test_a_tiff_whose_metadata_lies_nowhere_is_read(tag, value):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112], tags[65001] = 6, value
    tags.tagtype[65001] = LONG
    data = encoded(checkered(), "TIFF", tiffinfo=tags)
    data = data.replace(struct.pack("<HHL", 65001, LONG, 1), struct.pack("<HHL", tag, LONG, 1))
    read = read_upright(data, ImagesConfig())
    assert (read.width, read.height) == (64, 96)


def mpo() -> bytes:
    """Two pictures in one file, as some cameras write them; turned by its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(checkered(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))], exif=exif, quality=95)


def test_of_two_pictures_in_a_jpeg_the_first_is_read():
    data = mpo()
    assert Image.open(io.BytesIO(data)).format == "MPO"
    read = read_upright(data, ImagesConfig())
    expected = np.asarray(checkered().transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(decode_jpeg(read.data) - expected).mean() < 4
    start = data.index(b"MPF\0")
    for offset in range(start + 4, start + 90):
        damaged = data[:offset] + b"\xff" + data[offset + 1 :]
        assert read_upright(damaged, ImagesConfig()).data == read.data
