"""Members of zip archives by byte range. zipfile itself would read through one shared file, in many small requests."""

import struct
import zipfile
import zlib
from collections.abc import Callable


def read_member(info: zipfile.ZipInfo, fetch: Callable[[int, int], bytes], uri: str) -> bytes:
    """One member of an archive, checked against its checksum.

    Args:
        fetch: gives the bytes begin..end of the archive.
        uri: named in errors.

    Raises:
        zipfile.BadZipFile: the member is damaged, encrypted, or packed in an unknown way.
    """
    if info.flag_bits & 0x1:
        raise zipfile.BadZipFile(f"{uri} is encrypted")
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
        try:
            data = zlib.decompress(packed, -zlib.MAX_WBITS)
        except zlib.error as error:
            raise zipfile.BadZipFile(f"{uri}: {error}") from error
    else:
        raise zipfile.BadZipFile(f"{uri}: compression method {info.compress_type} is not supported")
    if zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"{uri}: its checksum differs from the archive's directory")
    return data
