"""Image files without what cameras and programs wrote beside the picture.

Profiles, texts, previews and EXIF are where real files are odd: too large, cut, or in types that nobody expects. The
pixels need none of it, so decoders do not get to see it, and a good picture stays one.
"""

import re
import struct
import zlib

from pipeline.images import directory

# TIFF's tags of EXIF, GPS, interoperability and XMP. Under these names no reader knows them.
_ASIDE = {0x8769: 65010, 0x8825: 65011, 0xA005: 65012, 0x02BC: 65013}
_SHORT = 3
# Bytes of a PNG's transparent colour by its colour type: grey, RGB, palette.
_TRANSPARENCY = {0: (2,), 2: (6,), 3: range(1, 257)}
# A number that a Netpbm file begins with, and what may stand before it.
_NETPBM_NUMBER = re.compile(rb"(?:\s|#[^\r\n]*+[\r\n])++(\d{1,10})")
# An item of an AVIF file that holds EXIF. Its orientation means nothing: the file itself says how it is turned.
_AVIF_EXIF = re.compile(rb"(infe[\x02\x03]...(?:..|....)..)Exif", re.DOTALL)


def without_metadata(data: bytes, kind: str) -> tuple[bytes, bytes]:
    """A file with what the pixels need, and its EXIF block, empty if there is none.

    Pixels, sizes and everything that damages them stay as they are. Files whose structure is not what it should be are
    given back as they are from there on.

    Args:
        kind: Pillow's name of the format.
    """
    strip = {"JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "AVIF": _avif, "PPM": _netpbm}.get(kind)
    return strip(data) if strip else (data, b"")


def _jpeg(data: bytes) -> tuple[bytes, bytes]:
    kept, exif, since, at = bytearray(), b"", 0, 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # padding
            at += 1
            continue
        if not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA or end < at + 4 or end > len(data):
            break  # the picture begins, or something is wrong
        # 0 is JFIF's, 14 Adobe's: they say how colours are stored. The others are EXIF, profiles, a second picture.
        if (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xEE)) or marker == 0xFE:
            if not exif and marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
                exif = data[at + 10 : end]
            kept += memoryview(data)[since:at]
            since = end
        at = end
    return _rest(data, kept, since), exif


def _png(data: bytes) -> tuple[bytes, bytes]:
    # Decoders unpack texts and profiles without end, and abandon the picture where one has a wrong checksum.
    kept, exif, since, at = bytearray(), b"", 0, 8
    while at + 12 <= len(data):
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        if not name.isalpha():
            break
        needed = name[:1].isupper()
        if end > len(data):
            if not needed:  # the file ends within a text
                kept += memoryview(data)[since:at]
                since = len(data)
            break
        if name in (b"tRNS", b"eXIf"):
            whole = zlib.crc32(memoryview(data)[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
            needed = whole and name == b"tRNS" and end - at - 12 in _TRANSPARENCY.get(data[25], ())
            exif = data[at + 8 : end - 4] if whole and name == b"eXIf" else exif
        if not needed:
            kept += memoryview(data)[since:at]
            since = end
        at = end
    return _rest(data, kept, since), exif


def _rest(data: bytes, kept: bytearray, since: int) -> bytes:
    if not since:
        return data
    kept += memoryview(data)[since:]
    return bytes(kept)


def _tiff(data: bytes) -> tuple[bytes, bytes]:
    # Entries are changed where they are, since everything else in the file is found by its offset.
    changed, order = bytearray(), directory.byte_order(data)
    for entry in directory.entries(data):
        if entry.tag == directory.ORIENTATION or entry.tag in _ASIDE:
            changed = changed or bytearray(data)
            struct.pack_into(f"{order}H", changed, entry.at, _ASIDE.get(entry.tag, entry.tag))
        if entry.tag == directory.ORIENTATION:  # Pillow and libtiff would turn the picture by it, each in its own way
            count = "Q" if entry.room == 8 else "L"
            struct.pack_into(f"{order}H{count}H", changed, entry.at + 2, _SHORT, 1, directory.UPRIGHT)
    return (bytes(changed) if changed else data), data


def _avif(data: bytes) -> tuple[bytes, bytes]:
    return _AVIF_EXIF.sub(rb"\1none", data), b""


def _netpbm(data: bytes) -> tuple[bytes, bytes]:
    # Pillow reads comments letter by letter, which takes a minute where one is as long as a file may be.
    kept, at = [data[:2]], 2
    for _ in range(2 if data[1:2] in b"14" else 3):  # width, height, and the value of white where it is not 1
        number = _NETPBM_NUMBER.match(data, at)
        if number is None:
            break
        kept += [b"\n", number[1]]
        at = number.end()
    return b"".join([*kept, data[at:]]), b""
