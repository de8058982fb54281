"""Deleting objects and directories."""

import contextlib
import os

from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.connections import filesystem
from pipeline.storage.errors import plain_errors
from pipeline.storage.local_files import is_temporary


def remove(uri: str) -> None:
    """Delete one object. No error if it is not there."""
    with contextlib.suppress(FileNotFoundError), plain_errors(uri):
        fs, path = filesystem(uri)
        fs.rm_file(path)


def remove_tree(uri: str) -> None:
    """Delete a directory with all that is in it; no error if it is not there.

    Raises:
        OSError: storage is broken or forbidden.
    """
    with plain_errors(uri):
        fs, path = filesystem(uri)
        if fs.exists(path):
            fs.rm(path, recursive=True)


def remove_leftovers(uri: str) -> int:
    """Delete what killed writers left directly inside a local directory; returns how many files.

    Only for a caller that knows of no other writer there. On S3 an unfinished upload has no name
    and is never listed.
    """
    fs, path = filesystem(uri)
    if not isinstance(fs, LocalFileSystem) or not os.path.isdir(path):
        return 0
    leftovers = [name for name in os.listdir(path) if is_temporary(name)]
    for name in leftovers:
        os.unlink(os.path.join(path, name))
    return len(leftovers)
