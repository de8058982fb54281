"""Pictures, and the bytes that image files are made of."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def checkered() -> Image.Image:
    """A picture of coarse fields that differ everywhere."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 64), Image.Resampling.NEAREST)


def exif_block(order: str, kind: int, count: int, value: bytes, magic: int = 42) -> bytes:
    """EXIF with an orientation as its only field."""
    field = struct.pack(f"{order}HHL", 0x0112, kind, count) + value.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    return b"Exif\0\0" + mark + struct.pack(f"{order}HLH", magic, 8, 1) + field + bytes(4)


BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, FLOAT = 1, 2, 3, 4, 5, 7, 11
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", checksum)
