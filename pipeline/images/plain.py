"""Masks and JPEG headers as this program writes them, read in a fraction of the time that files of strangers take.

Nothing is repaired or stripped here: whatever is not exactly as expected is left to `reading`, which also knows what to
say of it.
"""

import zlib

import numpy as np
from PIL import Image

_PNG = b"\x89PNG\r\n\x1a\n"
# Depth of 1 bit, grey, deflate, filters, not interlaced.
_ONE_BIT = b"\x01\0\0\0\0"
_END = b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")
_HEADER_END = 33  # of a PNG's signature and IHDR

# Of a JPEG: baseline and Huffman-coded; tables, restart intervals and what applications write.
_BASELINE, _SCAN = 0xC0, 0xDA
_TABLES = {0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}


def plain_mask(png: bytes, max_pixels: int) -> np.ndarray | None:
    """The mask in a PNG of one bit a pixel that has one chunk of pixels and nothing else.

    Returns:
        bool [H,W]; None if it is anything else, damaged, or has more pixels.
    """
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    length = int.from_bytes(png[_HEADER_END : _HEADER_END + 4], "big")
    if (
        not png.startswith(_PNG + b"\0\0\0\x0dIHDR")
        or png[24:29] != _ONE_BIT
        or not 0 < width * height <= max_pixels
        or len(png) != _HEADER_END + 12 + length + len(_END)
        or png[_HEADER_END + 4 : _HEADER_END + 8] != b"IDAT"
        or not png.endswith(_END)
        or not _is_whole(png, 12, _HEADER_END)
        or not _is_whole(png, _HEADER_END + 4, len(png) - len(_END))
    ):
        return None
    try:
        image = Image.frombytes("1", (width, height), png[_HEADER_END + 8 : -len(_END) - 4], "zip", "1")
    except ValueError:  # other pixels than the header says
        return None
    return np.frombuffer(image.tobytes("raw", "L"), np.uint8).reshape(height, width) != 0


def _is_whole(png: bytes, start: int, end: int) -> bool:
    """Whether the bytes up to the last four have the checksum that these state."""
    return zlib.crc32(png[start : end - 4]) == int.from_bytes(png[end - 4 : end], "big")


def plain_jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height of a baseline JPEG in colour whose one scan has all its colours; None if it is anything else."""
    size, at = None, 2
    if not jpeg.startswith(b"\xff\xd8"):
        return None
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, end = jpeg[at + 1], at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if end > len(jpeg):
            return None
        if marker == _SCAN:
            return size if end > at + 4 and jpeg[at + 4] == 3 else None
        if marker == _BASELINE and size is None and end == at + 19 and jpeg[at + 4] == 8 and jpeg[at + 9] == 3:
            size = int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        elif marker not in _TABLES or end < at + 4:
            return None
        at = end
    return None
