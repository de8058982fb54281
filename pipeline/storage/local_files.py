"""Local files that appear whole or not at all."""

import contextlib
import errno
import io
import os
import re
import secrets
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem

# In bytes: what Linux and its common file systems take, less room for our own names behind the path.
_LONGEST_NAME = 255
_LONGEST_PATH = 4095 - 255


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` when the block ends, and is deleted when it fails."""
    directory, name = os.path.split(path)
    os.makedirs(directory, exist_ok=True)
    # The leading dot and the suffix keep it out of patterns such as *.tar and *.parquet.
    temporary = os.path.join(directory, f".{name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    # Without this a power cut could keep a later rename (a manifest) and lose this one (its tar).
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_Raised = tuple[type[BaseException], BaseException, TracebackType]


class ReplacingFileSystem(LocalFileSystem):
    """fsspec's local filesystem, but what is written appears under its name when it is closed, whole."""

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> "BinaryIO | _ReplacingFile":
        return _ReplacingFile(path) if mode == "wb" else super()._open(path, mode, block_size, **options)


class _ReplacingFile(io.RawIOBase):
    def __init__(self, path: str):
        self._context = replacing(path)
        self._file = self._context.__enter__()
        self._error: _Raised | tuple[None, None, None] = None, None, None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # a buffer: typing names that kind from Python 3.12 on
        try:
            return self._file.write(data)
        except OSError:
            self._error = sys.exc_info()
            raise

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._context.__exit__(*self._error)


TEMPORARY = r"\.(.+)\.[0-9a-f]{16}\.tmp"
"""Pattern of the names of files that are being written; the group is the name that one is to have."""


def is_temporary(name: str) -> bool:
    """Whether a file is one that is being written, or was left so by a process that was killed."""
    return re.fullmatch(TEMPORARY, name) is not None


def check_directory(path: str) -> None:
    """Raise OSError, or ValueError for a name that none can have, unless files can be written under `path`.

    It need not exist yet.
    """
    if "\0" in path:
        raise ValueError("a name cannot hold a null character")
    for name in path.split("/"):
        if len(os.fsencode(name)) > _LONGEST_NAME:
            long = f"a name in it has {len(os.fsencode(name))} bytes, and may have {_LONGEST_NAME}"
            raise OSError(errno.ENAMETOOLONG, long, path)
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"it is longer than {_LONGEST_PATH} bytes", path)
    parent = path
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a directory", parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no permission to write there", parent)
