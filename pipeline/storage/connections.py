"""From a URI to the filesystem that serves it."""

import os
import weakref

import fsspec
import pyarrow.fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.cloud_errors import named_extras
from pipeline.storage.local_files import ReplacingFileSystem
from pipeline.storage.uris import protocol

ATTEMPTS = 8
"""How often S3 is asked for the same."""

PARTS_AT_ONCE = 4

# By name: most processes have no use for s3fs, which takes its time to import.
for _name in ("s3", "s3a"):
    fsspec.register_implementation(_name, "pipeline.storage.s3.DeadlineS3", clobber=True)

# A forked child that drops its copy of a filesystem closes the copied connections, and with them
# takes the parent's out of the epoll set that both share: the parent's next read would hang until
# its timeout. So a child keeps what it inherited, unused, until it ends. (The instances are known
# by id: two are equal if they were made alike, and each has connections of its own.)
_used: weakref.WeakValueDictionary[int, fsspec.AbstractFileSystem] = weakref.WeakValueDictionary()
_inherited: list[list[fsspec.AbstractFileSystem]] = []
os.register_at_fork(before=lambda: _inherited.append(list(_used.values())), after_in_parent=lambda: _inherited.pop())


def filesystem(uri: str, attempts: int = ATTEMPTS) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec filesystem of a URI, shared by the threads of this process, and the path in it.

    Args:
        attempts: how often S3 is asked for the same.

    Raises:
        ValueError: the protocol is not known to fsspec.
        ImportError: the protocol needs a package that is not installed; the message names it.
        PermissionError: the account of `az://` is not known.
    """
    options = {}
    last = protocol(uri.split("::")[-1])
    if last in ("s3", "s3a"):
        options = {
            "use_listings_cache": False,
            "max_concurrency": PARTS_AT_ONCE,
            "config_kwargs": {
                # Not "adaptive": one slow prefix of a bucket would slow down all requests of this process.
                "retries": {"mode": "standard", "max_attempts": attempts},
                "max_pool_connections": 64,
                "connect_timeout": 10,
                "read_timeout": 30,
            },
        }
    elif last in ("gs", "gcs", "az", "abfs", "abfss"):
        options = {"use_listings_cache": False}
    elif last in ("http", "https"):
        # trust_env: proxies are taken from HTTPS_PROXY and the like, as other programs do.
        options = {"use_listings_cache": False, "client_kwargs": {"trust_env": True}}
    chained = "::" in uri
    with named_extras(last):
        fs, path = fsspec.core.url_to_fs(uri, **({last: options} if chained else options))
    _used[id(fs)] = fs
    return fs, path


def arrow_filesystem(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The filesystem of a URI for libraries that speak pyarrow, and the path in it. Files appear whole."""
    fs, path = filesystem(uri)
    if isinstance(fs, LocalFileSystem):
        fs = ReplacingFileSystem()
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), path


def is_local(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return isinstance(filesystem(uri)[0], LocalFileSystem)


def is_s3(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether a filesystem speaks S3."""
    return "s3" in fs.protocol
