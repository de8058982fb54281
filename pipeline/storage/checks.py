"""Finding out before any work starts whether storage can be used."""

import errno
import os
import posixpath

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import UserError
from pipeline.storage.connections import filesystem, is_s3
from pipeline.storage.errors import plain_errors, user_errors
from pipeline.storage.local_files import check_directory
from pipeline.storage.reading import exists, info
from pipeline.storage.secrets import redacted
from pipeline.storage.uris import is_zip_member, protocol

_READ_ONLY_PROTOCOLS = ("http", "https", "zip", "tar")


def check_readable(uri: str, key: str) -> None:
    """Find out before any work starts whether `uri` (a file, a directory or a prefix) can be read.

    Raises:
        UserError: naming the configuration key `key` and the reason.
    """
    _check_given(uri, key)
    with user_errors(uri, key):
        if is_zip_member(uri):
            archive = uri.partition("::")[2]
            check_readable(archive, key)
            if not exists(uri):
                raise FileNotFoundError(errno.ENOENT, "no such directory in the archive", uri)
            return
        found = info(uri, attempts=2)
        fs, path = filesystem(uri)
        if isinstance(fs, LocalFileSystem):
            mode = os.R_OK | os.X_OK if found["type"] == "directory" else os.R_OK
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
    _check_given(uri, key)
    with user_errors(uri, key):
        if protocol(uri) == "memory":
            raise UserError(f"{key}: {uri} is in the memory of one process, and several write; give a folder or s3://…")
        if protocol(uri) in _READ_ONLY_PROTOCOLS:
            raise UserError(f"{key}: {redacted(uri)} cannot be written to: {protocol(uri)} is read only")
        fs, path = filesystem(uri, attempts=2)
        if isinstance(fs, LocalFileSystem):
            check_directory(path)
            return
        try:
            if info(uri, attempts=2)["type"] != "directory":
                raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a directory", uri)
        except FileNotFoundError:
            pass
        if is_s3(fs):
            with plain_errors(uri):
                bucket, prefix, _ = fs.split_path(path)
                target = {"Bucket": bucket, "Key": posixpath.join(prefix, ".write-check")}
                begun = fs.call_s3("create_multipart_upload", **target)
                fs.call_s3("abort_multipart_upload", UploadId=begun["UploadId"], **target)


def _check_given(uri: str, key: str) -> None:
    if not uri.strip():
        raise UserError(f"{key} is empty; give a path or a URI")
