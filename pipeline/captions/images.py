"""The bytes of a listed image."""

import errno

from pipeline import storage


def read_image(image_uri: str, byte_offset: int | None, byte_length: int | None) -> bytes:
    """The encoded image of a listing row, whether a file, a zip member or a range of a tar.

    Raises:
        FileNotFoundError: the image is not there, or its tar has become shorter.
        zipfile.BadZipFile: the image is a damaged zip member.
        OSError: storage is broken, unreachable or forbidden.
    """
    if byte_offset is None or byte_length is None:
        return storage.read_bytes(image_uri)
    tar = image_uri.partition("::")[2]
    data = storage.read_bytes(tar, byte_offset, byte_offset + byte_length)
    if len(data) < byte_length:
        raise FileNotFoundError(errno.ENOENT, f"the tar ends at byte {len(data)} of it", image_uri)
    return data
