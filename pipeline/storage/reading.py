"""Reading objects, and what is known of them without reading them."""

import contextlib
import errno
import functools
import hashlib
import os
import posixpath
import shutil
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import aiohttp
from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.cloud_errors import status_of
from pipeline.storage.connections import ATTEMPTS, filesystem, is_s3
from pipeline.storage.errors import TooManyBytes, error_code, plain_errors, unusable_names
from pipeline.storage.local_files import is_temporary
from pipeline.storage.uris import is_zip_member
from pipeline.storage.zip_archives import members, read_member

_BLOCK_BYTES = 8 * 2**20


def read_bytes(uri: str, start: int | None = None, end: int | None = None) -> bytes:
    """Bytes start..end (end exclusive) of an object, or all of it; fewer if it ends earlier.

    One request per call on S3 and https. For zip members the archive's directory is read once per
    process; an archive is taken to be immutable while the process lives.

    Raises:
        FileNotFoundError: storage answered that this object is not there.
        zipfile.BadZipFile: this member of a zip archive is damaged.
        OSError: storage is broken, unreachable or forbidden (PermissionError); also an http server
            without byte ranges.
    """
    if start is not None and end is not None and start >= end:
        return b""
    if is_zip_member(uri):
        return read_zip_member(uri)[start:end]
    with plain_errors(uri), unusable_names(uri):
        fs, path = filesystem(uri)
        # s3fs asks for the size first unless told that one stream is enough: that would double the
        # requests.
        options = {"max_concurrency": 1} if is_s3(fs) else {}
        try:
            data = fs.cat_file(path, start=start, end=end, **options)
        except Exception as error:  # each library has its own
            if _is_behind_the_end(error):
                return b""  # what local files answer
            raise
    if end is not None and len(data) > end - (start or 0):
        raise OSError(errno.EOPNOTSUPP, "the server ignores byte ranges", uri)
    return data


def _is_behind_the_end(error: Exception) -> bool:
    """Whether storage says that a range begins at or after the end of the object."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status == 416
    return error_code(error) in ("InvalidRange", "416") or status_of(error) == 416


@contextlib.contextmanager
def open_input(uri: str, read_ahead: bool = False) -> Iterator[BinaryIO]:
    """A seekable binary file.

    On remote storage it fetches what is asked for and nothing more, one request per read, which
    suits Parquet; with `read_ahead` it fetches blocks of 8 MiB, for reading from front to end.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
    """
    with plain_errors(uri):
        fs, path = filesystem(uri)
        options = {}
        if not isinstance(fs, LocalFileSystem):
            cache = "readahead" if read_ahead else "none"
            options = {"cache_type": cache, "block_size": _BLOCK_BYTES}
        with fs.open(path, "rb", **options) as file:
            yield file


def exists(uri: str) -> bool:
    """Whether an object or a directory is at `uri`.

    Raises:
        OSError: storage cannot tell; also for a missing bucket.
    """
    if is_zip_member(uri):
        member, _, archive = uri.removeprefix("zip://").partition("::")
        member, names = member.strip("/"), zip_members(archive)
        return member in names or not member or any(name.startswith(f"{member}/") for name in names)
    try:
        info(uri)
    except FileNotFoundError:
        return False
    return True


def size(uri: str) -> int:
    """Size of an object in bytes.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
    """
    return info(uri)["size"]


def list_names(uri: str) -> list[str]:
    """Names directly inside a directory or prefix, sorted; [] if there is no such directory.

    Never from a cache. Temporary files of interrupted writes are left out.
    """
    try:
        with plain_errors(uri):
            fs, path = filesystem(uri)
            entries = fs.ls(path, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    own = path.rstrip("/")
    names = {posixpath.basename(entry.rstrip("/")) for entry in entries if entry.rstrip("/") != own}
    return sorted(name for name in names if not is_temporary(name))


def list_folders(uri: str) -> list[str]:
    """Names of the directories directly inside a directory or prefix, sorted; [] if there is no such directory.

    Never from a cache.
    """
    try:
        with plain_errors(uri):
            fs, path = filesystem(uri)
            entries = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    own = path.rstrip("/")
    found = (entry["name"].rstrip("/") for entry in entries if entry["type"] == "directory")
    return sorted(posixpath.basename(name) for name in found if name != own)


def list_tree(uri: str) -> list[str]:
    """Names of all files in a directory or prefix and in all below it, relative to it, sorted; [] if there is none.

    Never from a cache. Temporary files of interrupted writes are left out.
    """
    try:
        with plain_errors(uri):
            fs, path = filesystem(uri)
            found = fs.find(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    own = path.rstrip("/")
    names = [name.removeprefix(own).lstrip("/") for name in found if name.rstrip("/") != own]
    return sorted(name for name in names if not is_temporary(posixpath.basename(name)))


def sha256(uri: str) -> tuple[str, int]:
    """Hex digest and size in bytes of an object, streamed."""
    digest, size = hashlib.sha256(), 0
    with open_input(uri) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def download(uri: str, local_path: str | os.PathLike) -> None:
    """Copy an object to a local file, a block at a time.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
    """
    with open_input(uri, read_ahead=True) as file, open(local_path, "wb") as copy:
        shutil.copyfileobj(file, copy, _BLOCK_BYTES)


def info(uri: str, attempts: int = ATTEMPTS) -> dict:
    """What fsspec knows of an object or directory: `type`, and `size` in bytes.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
        ValueError: the URI names no bucket.
    """
    with plain_errors(uri):
        fs, path = filesystem(uri, attempts)
        if is_s3(fs) and not fs.split_path(path)[0]:
            raise ValueError("the URI names no bucket")
        try:
            return fs.info(path)
        except PermissionError as error:
            if not is_s3(fs) or error_code(error) != "403":
                raise
            # The answer to HEAD has no body, so no reason; a listing says whether the key or the
            # secret is wrong.
            bucket, prefix, _ = fs.split_path(path)
            fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
            raise


@functools.lru_cache(maxsize=8)
def zip_members(archive: str) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip archive by name; read once per process.

    Raises:
        zipfile.BadZipFile: it is no zip archive, or damaged.
        FileNotFoundError, OSError: as `read_bytes`.
    """
    with open_input(archive) as file:
        return members(file)


def read_zip_member(uri: str, limit: int | None = None) -> bytes:
    """The content of a zip member.

    Raises:
        TooManyBytes: it has more than `limit` bytes; nothing was read then.
        FileNotFoundError, zipfile.BadZipFile, OSError: as `read_bytes`.
    """
    name, _, archive = uri.removeprefix("zip://").partition("::")
    info = zip_members(archive).get(name.lstrip("/"))
    if info is None:
        raise FileNotFoundError(errno.ENOENT, "no such member in the zip archive", uri)
    if limit is not None and info.file_size > limit:
        raise TooManyBytes(info.file_size, limit)
    return read_member(info, lambda begin, end: read_bytes(archive, begin, end), uri)
