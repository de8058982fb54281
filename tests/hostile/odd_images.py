"""Damaged images and odd metadata, made at random: `python -m tests.hostile.odd_images SEED COUNT LAST`.

Reads COUNT of each in this process, whose memory is limited, and keeps the one at hand in the file LAST. Ends with an
error at the first that is neither read as it should be nor refused as an `ImageProblem`.
"""

import io
import random
import resource
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.images import FORMATS, ImageProblem, ImagesConfig, UprightJpeg, open_image, read_upright

WIDTH, HEIGHT = 48, 32
LIMITS = ImagesConfig(max_side=64, max_pixels=1_000_000)
# A million pixels need a few megabytes, decoders of video some tens for each thread.
_MEMORY = 1 << 30
_NUMBERS = (0, 1, 2, 3, 6, 8, 9, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
_TAGS = (0x0100, 0x0101, 0x010F, 0x0112, 0x011A, 0x0128, 0x0132, 0x02BC, 0x8298, 0x8769, 0x8825, 0x9003, 0x927C, 0xA005)
_EXIF_SIZE = 298


def images() -> dict[str, bytes]:
    """A good file of every format, and of modes that decoders treat apart."""
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture = Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 2))
    alpha = picture.copy()
    alpha.putalpha(128)
    found = {}
    for name, image, kind, options in (
        ("jpeg", picture, "JPEG", {}),
        ("progressive jpeg", picture, "JPEG", {"progressive": True}),
        ("cmyk jpeg", picture.convert("CMYK"), "JPEG", {}),
        ("two jpegs", picture, "MPO", {"save_all": True, "append_images": [picture]}),
        ("png", picture, "PNG", {}),
        ("palette png", picture.quantize(20), "PNG", {"transparency": 3}),
        ("16-bit png", Image.fromarray(noise[..., 0].astype(np.uint16) * 200), "PNG", {}),
        ("animated png", picture, "PNG", {"save_all": True, "append_images": [alpha.convert("RGB")]}),
        ("webp", alpha, "WEBP", {}),
        ("animated webp", picture, "WEBP", {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("gif", picture.quantize(40), "GIF", {"save_all": True, "append_images": [picture.quantize(9)]}),
        ("bmp", picture, "BMP", {}),
        ("tiff", picture, "TIFF", {}),
        ("big tiff", picture, "TIFF", {"big_tiff": True}),
        ("lzw tiff", alpha, "TIFF", {"compression": "tiff_lzw"}),
        ("jpeg tiff", picture, "TIFF", {"compression": "jpeg"}),
        ("fax tiff", picture.convert("1"), "TIFF", {"compression": "group4"}),
        ("float tiff", Image.fromarray(noise[..., 0].astype(np.float32)), "TIFF", {}),
        ("avif", picture, "AVIF", {}),
        ("ppm", picture, "PPM", {}),
    ):
        if kind in (*FORMATS, "MPO"):
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            found[name] = buffer.getvalue()
    return found


def with_room_for_exif() -> dict[str, tuple[bytes, int]]:
    """Good files with an EXIF block of `_EXIF_SIZE` bytes, after the mark of its kind, and where it begins."""
    picture = Image.effect_mandelbrot((WIDTH, HEIGHT), (-3, -2.5, 2, 2.5), 20).convert("RGB")
    mark = bytes(range(100, 100 + 32)) * 9
    block = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 0) + mark
    found = {}
    for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        if kind in FORMATS:
            buffer = io.BytesIO()
            picture.save(buffer, kind, exif=block)
            found[kind] = buffer.getvalue(), buffer.getvalue().index(mark) - 10
    return found


def odd_exif(rng: random.Random, size: int) -> bytes:
    """Something like an EXIF block, of this many bytes."""
    order = rng.choice("<>")
    number = rng.choice([*_NUMBERS, rng.randrange(2**32)])
    fields = []
    for _ in range(rng.randrange(16)):
        tag = rng.choice([*_TAGS, rng.randrange(2**16)])
        kind = rng.choice([*range(20), rng.randrange(2**16)])
        count, value = (rng.choice([*_NUMBERS, rng.randrange(size), rng.randrange(2**32)]) for _ in range(2))
        fields.append(struct.pack(f"{order}HHLL", tag, kind, count, value))
    block = (b"II" if order == "<" else b"MM") + struct.pack(
        f"{order}HLH", rng.choice([42, 42, 42, 43, 0]), rng.choice([8, 8, 8, number]), rng.choice([len(fields), 65535])
    )
    return (block + b"".join(fields) + rng.randbytes(size))[:size]


def damaged(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A file with a few changes."""
    changed = bytearray(data)
    # What decoders believe stands at the beginning.
    reach = rng.choice([64, 512, len(changed)])
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        offset = rng.randrange(max(1, min(reach, len(changed))))
        match rng.randrange(7):
            case 0:
                changed[offset : offset + 1] = rng.randbytes(1)
            case 1:
                changed[offset : offset + 4] = struct.pack(rng.choice("<>") + "L", rng.choice(_NUMBERS))
            case 2:
                changed[offset : offset + 2] = struct.pack(rng.choice("<>") + "H", rng.choice(_NUMBERS) & 0xFFFF)
            case 3:
                del changed[offset : offset + rng.randrange(1, 40)]
            case 4:
                changed[offset:offset] = changed[offset : offset + rng.randrange(1, 400)]
            case 5:
                del changed[rng.randrange(len(changed) + 1) :]
            case 6:
                changed[offset:offset] = other[rng.randrange(len(other)) :][: rng.randrange(1, 200)]
    return bytes(changed)


def check(data: bytes) -> UprightJpeg | ImageProblem:
    """What is read, which has to be what it says, or why nothing is."""
    try:
        read = read_upright(data, LIMITS)
    except ImageProblem as problem:
        if isinstance(problem.__cause__, MemoryError):
            raise
        return problem
    pixels = cv2.imdecode(np.frombuffer(read.data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert pixels is None or pixels.shape[:2] == (read.height, read.width), pixels.shape
    assert max(read.width, read.height) <= LIMITS.max_side
    assert read.original_width * read.original_height <= LIMITS.max_pixels
    open_image(data, max_pixels=LIMITS.max_pixels)
    return read


def main() -> None:
    """Read what is made at random."""
    seed, count, last = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    rng = random.Random(seed)
    good, roomy = images(), with_room_for_exif()
    for data in good.values():
        assert isinstance(check(data), UprightJpeg)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, most))
    read = 0
    for _ in range(count):
        name = rng.choice(list(good))
        data = damaged(rng, good[name], good[rng.choice(list(good))])
        last.write_bytes(data)
        read += isinstance(check(data), UprightJpeg)
    for _ in range(count):
        data, offset = roomy[rng.choice(list(roomy))]
        data = data[:offset] + odd_exif(rng, _EXIF_SIZE) + data[offset + _EXIF_SIZE :]
        last.write_bytes(data)
        found = check(data)
        # The picture is whole, whatever is written beside it.
        assert isinstance(found, UprightJpeg), found
        assert {found.width, found.height} == {WIDTH, HEIGHT}
    print(f"{read} of {count} damaged files could be read")


if __name__ == "__main__":
    main()
