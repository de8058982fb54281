"""Members of zip archives by byte range. zipfile itself would read through one shared file, in many small requests."""

import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO


def members(file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by name.

    Raises:
        zipfile.BadZipFile: it is no archive, or its directory is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return {info.filename: info for info in archive.infolist() if not info.is_dir()}
    except (ValueError, OverflowError, MemoryError, NotImplementedError, struct.error) as error:
        # What zipfile lets out at sizes, offsets, versions and names that make no sense.
        raise zipfile.BadZipFile(f"damaged directory: {error}") from error


def read_member(info: zipfile.ZipInfo, fetch: Callable[[int, int], bytes], uri: str) -> bytes:
    """One member of an archive, checked against its checksum.

    No more than the size that the archive's directory states, `info.file_size`, is unpacked.

    Args:
        fetch: returns the bytes begin..end of the archive.
        uri: named in errors.

    Raises:
        zipfile.BadZipFile: the member is damaged, encrypted, packed in an unknown way, or of another size than stated.
    """
    if info.flag_bits & 0x1:
        raise zipfile.BadZipFile(f"{uri} is encrypted")
    if info.compress_size > _most_packed(info.file_size):
        raise zipfile.BadZipFile(f"{uri}: {info.compress_size} bytes cannot be {info.file_size} bytes, packed")
    # Local header (APPNOTE 4.3.7): 30 bytes, the name, then an extra field whose length only this
    # header knows; 256 bytes are more than common tools put there, so that one request is enough.
    begin = info.header_offset
    end = begin + 30 + len(info.orig_filename.encode()) + len(info.extra) + 256 + info.compress_size
    block = fetch(begin, end)
    if len(block) < 30 or block[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{uri}: no member begins at byte {begin}")
    name_length, extra_length = struct.unpack("<HH", block[26:30])
    first = 30 + name_length + extra_length
    if begin + first + info.compress_size > end:
        block += fetch(end, begin + first + info.compress_size)
    packed = block[first : first + info.compress_size]
    if info.compress_type == zipfile.ZIP_STORED:
        data = packed
    elif info.compress_type == zipfile.ZIP_DEFLATED:
        data = _inflate(packed, info.file_size, uri)
    else:
        raise zipfile.BadZipFile(f"{uri}: compression method {info.compress_type} is not supported")
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"{uri}: its size or checksum differs from the archive's directory")
    return data


def _most_packed(size: int) -> int:
    """No packer makes more of so many bytes: deflate stores what does not shrink in blocks with 5 bytes more each."""
    return size + size // 100 + 1024


def _inflate(packed: bytes, size: int, uri: str) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than expected tells a member that goes on from one that ends there.
        data = unpacker.decompress(packed, min(size + 1, sys.maxsize))
    except zlib.error as error:
        raise zipfile.BadZipFile(f"{uri}: {error}") from error
    if len(data) > size:
        raise zipfile.BadZipFile(f"{uri} unpacks to more than the {size} bytes that the archive's directory states")
    if not unpacker.eof:
        raise zipfile.BadZipFile(f"{uri}: its packed data is cut off")
    return data
