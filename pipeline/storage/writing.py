"""Writing objects: they appear whole or not at all."""

import os
import shutil

from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.connections import filesystem, is_s3
from pipeline.storage.errors import plain_errors
from pipeline.storage.local_files import replacing

# One upload holds at most _PART_BYTES * PARTS_AT_ONCE in memory; objects under two parts go up as
# one PUT.
_PART_BYTES = 16 * 2**20

_COPY_BYTES = 8 * 2**20


def write_bytes(uri: str, data: bytes) -> None:
    """Create or replace an object. Readers see the old content or the new one, never a part,
    whatever happens here.

    Local: a hidden temporary file beside the target, fsync, rename. S3: one PUT, or for large data
        a multipart upload, which is not visible until it is complete.

    Raises:
        OSError: nothing was written (no space, no permission, unreachable, …).
    """
    with plain_errors(uri):
        fs, path = filesystem(uri)
        if isinstance(fs, LocalFileSystem):
            with replacing(path) as file:
                file.write(data)
        elif is_s3(fs):
            fs.pipe_file(path, data, chunksize=_PART_BYTES)
        else:
            fs.pipe_file(path, data)


def upload(local_path: str | os.PathLike, uri: str) -> None:
    """Copy a local file to `uri` as `write_bytes` does, with at most 64 MiB of it in memory."""
    with plain_errors(uri):
        fs, path = filesystem(uri)
        if isinstance(fs, LocalFileSystem):
            with open(local_path, "rb") as source, replacing(path) as file:
                shutil.copyfileobj(source, file, _COPY_BYTES)
        elif is_s3(fs):
            fs.put_file(os.fspath(local_path), path, chunksize=_PART_BYTES)
        else:
            fs.put_file(os.fspath(local_path), path)
