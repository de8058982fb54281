"""Chunks of PNG files: beside the pixels, and in them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.images import ImageProblem, ImagesConfig, open_image, read_upright
from tests.images.pictures import SHORT, checkered, chunk, encoded, exif_block

IHDR_END = 8 + 25
BOMB = zlib.compress(bytes(200_000_000), 9)


@pytest.mark.parametrize(
    ("extra", "at_end"),
    [
        (chunk(b"iCCP", b"name\0\0" + BOMB), False),
        (chunk(b"zTXt", b"name\0\0" + BOMB), False),
        (chunk(b"zTXt", b"name\0\0" + BOMB), True),
        (chunk(b"iTXt", b"name\0\1\0\0\0" + BOMB) * 50, True),
        (chunk(b"tEXt", b"name\0" + bytes(70_000_000)), False),
        (chunk(b"iCCP", b""), False),
        (chunk(b"iCCP", b"name\0\7broken"), False),
        (chunk(b"iCCP", b"name\0\0broken"), False),
        (chunk(b"eXIf", b"Exif\0\0\0\x08broken"), False),
        (chunk(b"eXIf", b""), True),
        (chunk(b"gAMA", b""), False),
        (chunk(b"cHRM", b"1"), False),
        (chunk(b"pHYs", b"1"), False),
        (chunk(b"sRGB", b""), False),
        (chunk(b"tRNS", b"1"), False),
        (chunk(b"tRNS", bytes(6), checksum=1), False),
        (chunk(b"tEXt", b"a\0b", checksum=1), False),
        (chunk(b"tEXt", b"a\0b", checksum=1), True),
        (chunk(b"acTL", b"1"), False),
        (chunk(b"acTL", struct.pack(">LL", 2**31, 0)), False),
        (chunk(b"fcTL", b"1"), False),
        (chunk(b"prVt", bytes(100)), False),
        (struct.pack(">L", 2**31 - 1) + b"tEXt" + b"cut", True),
    ],
)
def test_what_lies_beside_the_pixels_of_a_png_costs_nothing(extra, at_end):
    plain = encoded(checkered(), "PNG")
    offset = len(plain) - 12 if at_end else IHDR_END
    data = plain[:offset] + extra + plain[offset:]
    assert read_upright(data, ImagesConfig()).data == read_upright(plain, ImagesConfig()).data
    assert (np.asarray(open_image(data)) == np.asarray(checkered())).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("at_end", [False, True])
def test_the_exif_of_a_png_turns_it(order, at_end):
    plain = encoded(checkered(), "PNG")
    offset = len(plain) - 12 if at_end else IHDR_END
    block = exif_block(order, SHORT, 1, struct.pack(f"{order}H", 6))[6:]
    turned = read_upright(plain[:offset] + chunk(b"eXIf", block) + plain[offset:], ImagesConfig())
    assert (turned.width, turned.height) == (64, 96)
    damaged = read_upright(plain[:offset] + chunk(b"eXIf", block, checksum=1) + plain[offset:], ImagesConfig())
    assert (damaged.width, damaged.height) == (96, 64)


def test_the_first_frame_of_an_animated_png():
    frames = [checkered(), Image.new("RGB", (96, 64))]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert (np.asarray(open_image(data)) == np.asarray(checkered())).all()


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT"])
def test_damage_where_the_pixels_are_is_damage(name):
    data = bytearray(encoded(checkered().quantize(16), "PNG"))
    offset = data.index(name) + (20 if name == b"IDAT" else 5)
    data[offset] ^= 0xFF
    with pytest.raises(ImageProblem, match=r"damaged|too_many_pixels"):
        read_upright(bytes(data), ImagesConfig())
