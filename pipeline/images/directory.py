"""The directory of a TIFF file, which is also what EXIF blocks are, and the orientation in it.

Read with a few lines of our own: libraries convert all fields of a directory, and one odd field, which has nothing to
do with the picture, ends them with any of a dozen exceptions.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION = 0x0112
UPRIGHT = 1
_TURNS = range(1, 9)
_MOST = 65535  # fields, as many as a directory of 16 bits can have
# Whole numbers by TIFF's number of their type: BYTE, SHORT, LONG, and those with a sign.
_WHOLE = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l"}


@dataclass(frozen=True)
class Entry:
    """A field of a directory."""

    tag: int
    kind: int
    """TIFF's number of the type."""
    count: int
    at: int
    """Where the entry begins, in bytes from the start."""
    value_at: int
    """Where its value, if it fits, or the offset of its values is."""
    room: int
    """Bytes that fit there: 4, or 8 in files of more than 4 GB."""


def byte_order(data: bytes) -> str:
    """The byte order of a TIFF file or EXIF block as `struct` writes it; empty if it is neither."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
    return order if order and data[2:4] in (struct.pack(f"{order}H", 42), struct.pack(f"{order}H", 43)) else ""


def entries(data: bytes) -> Iterator[Entry]:
    """The fields of the first directory, as far as it lies within the data."""
    order = byte_order(data)
    if not order:
        return
    big = data[2:4] == struct.pack(f"{order}H", 43)
    offset, number, entry, room = ("Q", "Q", "HHQ", 8) if big else ("L", "H", "HHL", 4)
    head, length = struct.Struct(order + entry), struct.calcsize(order + entry) + room
    try:
        (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + number, data, at)
        at += struct.calcsize(order + number)
        for _ in range(min(count, _MOST)):
            tag, kind, values = head.unpack_from(data, at)
            if at + length > len(data):
                return
            yield Entry(tag, kind, values, at, at + length - room, room)
            at += length
    except (struct.error, OverflowError):  # it ends here, or begins nowhere
        return


def whole_number(data: bytes, entry: Entry) -> int | None:
    """The first value of a field if that is a whole number which lies in the directory itself."""
    kind = _WHOLE.get(entry.kind)
    if kind is None or struct.calcsize(f"={kind}") * entry.count > entry.room:
        return None
    return struct.unpack_from(byte_order(data) + kind, data, entry.value_at)[0]


def orientation(exif: bytes) -> int:
    """How the camera was held, 1 to 8 as EXIF counts; 1, upright, where nothing or nothing sensible is said.

    Args:
        exif: an EXIF block, with or without the mark of its kind in front, or a TIFF file.
    """
    while exif[:6] == b"Exif\0\0":
        exif = exif[6:]
    for entry in entries(exif):
        if entry.tag == ORIENTATION:
            value = whole_number(exif, entry)
            return UPRIGHT if value is None or value not in _TURNS else value
    return UPRIGHT
