"""The one place that knows about URIs.

Everything else passes strings such as `data/out`, `s3://bucket/prefix`, `https://host/images` or
`zip://train2017/1.jpg::s3://bucket/train2017.zip` to the functions below. fsspec does the work;
what this module adds:

- writes that are visible whole or not at all,
- no listing caches: another process may have written a moment ago,
- errors with one meaning each. `FileNotFoundError`: storage answered, and this one object is not
  there. `PermissionError` and every other `OSError`: storage is broken, unreachable or forbidden,
  which says nothing about the object, so a caller must let it pass. (S3 answers 403 for a missing
  key when the credentials lack ListBucket; that stays a PermissionError.)

S3 endpoint, region and credentials come from the environment (`AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, …) or from the machine's role, never from a URI or the configuration. Transient
S3 errors are retried by botocore.

fsspec gives each process its own connections, so the functions work in threads, in Ray workers and,
with the precaution at `_inherited`, after a fork.
"""

import contextlib
import errno
import functools
import hashlib
import os
import posixpath
import shutil
import weakref
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import aiohttp
import fsspec
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import UserError
from pipeline.local_files import ReplacingFileSystem, check_directory, is_temporary, replacing
from pipeline.storage_errors import error_code, plain_errors, unusable_names, user_errors
from pipeline.zip_members import read_member

READ_ONLY_PROTOCOLS = ("http", "https", "zip", "tar")

# One upload holds at most _PART_BYTES * _PARTS_AT_ONCE in memory; objects under two parts go up as
# one PUT.
_PART_BYTES = 16 * 2**20
_PARTS_AT_ONCE = 4

_READ_BLOCK_BYTES = 8 * 2**20


# A forked child that drops its copy of a filesystem closes the copied connections, and with them
# takes the parent's out of the epoll set that both share: the parent's next read would hang until
# its timeout. So a child keeps what it inherited, unused, until it ends. (The instances are known
# by id: two are equal if they were made alike, and each has connections of its own.)
_used: weakref.WeakValueDictionary[int, fsspec.AbstractFileSystem] = weakref.WeakValueDictionary()
_inherited: list[list[fsspec.AbstractFileSystem]] = []
os.register_at_fork(before=lambda: _inherited.append(list(_used.values())), after_in_parent=lambda: _inherited.pop())


def filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec filesystem of a URI, shared by the threads of this process, and the path in it.

    Raises:
        ValueError: the protocol is not known to fsspec.
        ImportError: the protocol needs a package that is not installed.
    """
    return _open_filesystem(uri, attempts=8)


def _open_filesystem(uri: str, attempts: int) -> tuple[fsspec.AbstractFileSystem, str]:
    options = {}
    protocol = _protocol(uri.split("::")[-1])
    if protocol in ("s3", "s3a"):
        options = {
            "use_listings_cache": False,
            "max_concurrency": _PARTS_AT_ONCE,
            "config_kwargs": {
                "retries": {"mode": "standard", "max_attempts": attempts},
                "max_pool_connections": 64,
                "connect_timeout": 10,
                "read_timeout": 60,
            },
        }
    elif protocol in ("gs", "gcs"):
        options = {"use_listings_cache": False}
    elif protocol in ("http", "https"):
        # trust_env: proxies are taken from HTTPS_PROXY and the like, as other programs do.
        options = {"use_listings_cache": False, "client_kwargs": {"trust_env": True}}
    chained = "::" in uri
    fs, path = fsspec.core.url_to_fs(uri, **({protocol: options} if chained else options))
    _used[id(fs)] = fs
    return fs, path


def join(uri: str, *parts: str) -> str:
    """`uri` with path components appended: `join("zip://a::s3://b/c.zip", "d")` is
    `zip://a/d::s3://b/c.zip`.
    """
    head, separator, archive = uri.partition("::")
    for part in parts:
        head = head + part if head.endswith("://") else head.rstrip("/") + "/" + part
    return head + separator + archive


def is_absolute(uri: str) -> bool:
    """Whether a URI means the same in every working directory."""
    return all("://" in part or part.startswith("/") for part in uri.split("::"))


def is_local(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return isinstance(filesystem(uri)[0], LocalFileSystem)


def arrow_filesystem(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The filesystem of a URI for libraries that speak pyarrow, and the path in it. Files appear whole."""
    fs, path = filesystem(uri)
    if isinstance(fs, LocalFileSystem):
        fs = ReplacingFileSystem()
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), path


def absolute(uri: str) -> str:
    """A local path made absolute; other URIs as they are. In a chain, the archive's path is made absolute."""
    head, separator, archive = uri.rpartition("::")
    return head + separator + (archive if "://" in archive else os.path.abspath(archive))


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
    if uri.startswith("zip://") and "::" in uri:
        return _read_zip_member(uri)[start:end]
    with plain_errors(uri), unusable_names(uri):
        fs, path = filesystem(uri)
        # s3fs asks for the size first unless told that one stream is enough: that would double the
        # requests.
        options = {"max_concurrency": 1} if _is_s3(fs) else {}
        try:
            data = fs.cat_file(path, start=start, end=end, **options)
        except OSError as error:
            if error_code(error) in ("InvalidRange", "416"):
                return b""  # start lies at or after the end, which local files answer with nothing
            raise
        except aiohttp.ClientResponseError as error:
            if error.status == 416:
                return b""
            raise
    if end is not None and len(data) > end - (start or 0):
        raise OSError(errno.EOPNOTSUPP, "the server ignores byte ranges", uri)
    return data


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
        elif _is_s3(fs):
            fs.pipe_file(path, data, chunksize=_PART_BYTES)
        else:
            fs.pipe_file(path, data)


def upload(local_path: str | os.PathLike, uri: str) -> None:
    """Copy a local file to `uri` as `write_bytes` does, with at most 64 MiB of it in memory."""
    with plain_errors(uri):
        fs, path = filesystem(uri)
        if isinstance(fs, LocalFileSystem):
            with open(local_path, "rb") as source, replacing(path) as file:
                shutil.copyfileobj(source, file, _READ_BLOCK_BYTES)
        elif _is_s3(fs):
            fs.put_file(os.fspath(local_path), path, chunksize=_PART_BYTES)
        else:
            fs.put_file(os.fspath(local_path), path)


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
            options = {"cache_type": cache, "block_size": _READ_BLOCK_BYTES}
        with fs.open(path, "rb", **options) as file:
            yield file


def exists(uri: str) -> bool:
    """Whether an object or a directory is at `uri`.

    Raises:
        OSError: storage cannot tell; also for a missing bucket.
    """
    if uri.startswith("zip://") and "::" in uri:
        member, _, archive = uri.removeprefix("zip://").partition("::")
        member, members = member.strip("/"), _zip_members(archive)
        if member in members or not member:
            return True
        return any(name.startswith(f"{member}/") for name in members)
    try:
        _info(uri)
    except FileNotFoundError:
        return False
    return True


def size(uri: str) -> int:
    """Size of an object in bytes.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
    """
    return _info(uri)["size"]


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


def read_table(uri: str) -> pa.Table:
    """A whole Parquet file.

    Raises:
        FileNotFoundError, OSError: as `read_bytes`.
        pa.ArrowInvalid: the file is not Parquet, or damaged.
    """
    data = pa.BufferReader(read_bytes(uri))
    try:
        return pq.read_table(data)
    except OSError as error:  # of Arrow, about the content: storage has answered
        raise pa.ArrowInvalid(f"{uri}: {error}") from error


def write_table(table: pa.Table, uri: str) -> None:
    """Write Parquet (zstd) as `write_bytes` does; equal tables give equal bytes.

    How a table is chunked makes no difference.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    write_bytes(uri, sink.getvalue().to_pybytes())


def sha256(uri: str) -> tuple[str, int]:
    """Hex digest and size in bytes of an object, streamed."""
    digest, size = hashlib.sha256(), 0
    with open_input(uri) as file:
        while block := file.read(_READ_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def check_readable(uri: str, key: str) -> None:
    """Find out before any work starts whether `uri` (a file, a directory or a prefix) can be read.

    Raises:
        UserError: naming the configuration key `key` and the reason.
    """
    with user_errors(uri, key):
        if uri.startswith("zip://") and "::" in uri:
            archive = uri.partition("::")[2]
            check_readable(archive, key)
            if not exists(uri):
                raise FileNotFoundError(errno.ENOENT, "no such directory in the archive", uri)
            return
        info = _info(uri, attempts=2)
        fs, path = filesystem(uri)
        if isinstance(fs, LocalFileSystem):
            mode = os.R_OK | os.X_OK if info["type"] == "directory" else os.R_OK
            if not os.access(path, mode):
                raise PermissionError(errno.EACCES, "no permission to read it", path)


def check_writable(uri: str, key: str) -> None:
    """Find out before any work starts whether files can be written under the directory or prefix
    `uri`.

    Nothing is created: locally the nearest existing parent is examined; on S3 a multipart upload is
    begun and aborted, which takes the same permission as a PUT and leaves no object.

    Raises:
        UserError: naming the configuration key `key` and the reason.
    """
    with user_errors(uri, key):
        protocol = _protocol(uri)
        if protocol in READ_ONLY_PROTOCOLS:
            raise UserError(f"{key}: {uri} cannot be written to: {protocol} is read only")
        fs, path = _open_filesystem(uri, attempts=2)
        if isinstance(fs, LocalFileSystem):
            check_directory(path)
            return
        try:
            if _info(uri, attempts=2)["type"] != "directory":
                raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a directory", uri)
        except FileNotFoundError:
            pass
        if _is_s3(fs):
            with plain_errors(uri):
                bucket, prefix, _ = fs.split_path(path)
                target = {"Bucket": bucket, "Key": posixpath.join(prefix, ".write-check")}
                begun = fs.call_s3("create_multipart_upload", **target)
                fs.call_s3("abort_multipart_upload", UploadId=begun["UploadId"], **target)


def _protocol(uri: str) -> str:
    return uri.partition("://")[0] if "://" in uri else "file"


def _is_s3(fs: fsspec.AbstractFileSystem) -> bool:
    return "s3" in fs.protocol


def _info(uri: str, attempts: int = 8) -> dict:
    with plain_errors(uri):
        fs, path = _open_filesystem(uri, attempts)
        if _is_s3(fs) and not fs.split_path(path)[0]:
            raise ValueError("the URI names no bucket")
        try:
            return fs.info(path)
        except PermissionError as error:
            if not _is_s3(fs) or error_code(error) != "403":
                raise
            # The answer to HEAD has no body, so no reason; a listing says whether the key or the
            # secret is wrong.
            bucket, prefix, _ = fs.split_path(path)
            fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
            raise


@functools.lru_cache(maxsize=8)
def _zip_members(archive: str) -> dict[str, zipfile.ZipInfo]:
    with open_input(archive) as file, zipfile.ZipFile(file) as opened:
        return {info.filename: info for info in opened.infolist() if not info.is_dir()}


def _read_zip_member(uri: str) -> bytes:
    name, _, archive = uri.removeprefix("zip://").partition("::")
    info = _zip_members(archive).get(name.lstrip("/"))
    if info is None:
        raise FileNotFoundError(errno.ENOENT, "no such member in the zip archive", uri)
    return read_member(info, lambda begin, end: read_bytes(archive, begin, end), uri)
