"""What libraries of storage raise, made into errors with one meaning each (see the package)."""

import contextlib
import errno
import zipfile
from collections.abc import Iterator
from typing import TypeVar

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from botocore.parsers import ResponseParserError

from pipeline.errors import UserError
from pipeline.storage.cloud_errors import cloud_errors
from pipeline.storage.hub_errors import hub_errors
from pipeline.storage.secrets import has_secret, redacted

_Error = TypeVar("_Error", bound=BaseException)


class TooManyBytes(Exception):
    """An object is larger than what its reader takes; it was not read, or no further than that."""

    def __init__(self, found: int | None, limit: int):
        """`found`: its bytes, None if only known to be more than `limit`."""
        super().__init__(f"more than {limit} bytes" if found is None else f"{found} bytes, more than {limit}")
        self.found = found
        self.limit = limit


def error_code(error: BaseException | None) -> str | None:
    """The S3 error code ("NoSuchKey", "403", …) behind an exception."""
    cause = _cause(error, ClientError)
    return cause.response["Error"].get("Code") if cause is not None else None


def is_denied(error: OSError) -> bool:
    """Whether an object store works and will not give this one object, or has no such bucket.

    What is wrong with the credentials as a whole, such as that they expired, has other codes on S3.
    """
    code = error_code(error)
    return code in ("AccessDenied", "403", "NoSuchBucket") or (code is None and isinstance(error, PermissionError))


def _cause(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    """The exception of a kind that an exception was made from, or itself."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


@contextlib.contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Let only OSErrors of the right kind out (see the package) in place of botocore's, aiohttp's,
    huggingface_hub's, gcsfs's and adlfs's. They show URIs without secrets.
    """
    uri = redacted(uri)
    try:
        with hub_errors(uri), cloud_errors(uri):
            yield
    except NoCredentialsError as error:
        raise PermissionError(errno.EACCES, "no S3 credentials were found", uri) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise OSError(errno.EIO, redacted(str(error)), uri) from error
    except aiohttp.ClientResponseError as error:
        raise _http_error(error, uri) from error
    except aiohttp.ClientError as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {redacted(str(error))}", uri) from error
    except FileNotFoundError as error:
        if error_code(error) == "NoSuchBucket":
            raise OSError(errno.EIO, "the bucket does not exist", uri) from error
        # fsspec says "not found" for whatever status a server answered to its question for the
        # size.
        if isinstance(error.__cause__, aiohttp.ClientResponseError):
            raise _http_error(error.__cause__, uri) from error
        if isinstance(error.__cause__, aiohttp.ClientError):
            raise OSError(errno.EIO, redacted(str(error.__cause__)), uri) from error
        raise named(error, uri) from error
    except OSError as error:
        # A local file's, or the operating system's about what is done with an open file: not storage's.
        own = error.filename is not None or (error.errno is not None and error.__cause__ is None)
        if own and not has_secret(str(error.filename)):
            raise
        raise named(error, uri) from error


def named(error: OSError, uri: str) -> OSError:
    """The same error with the URI that it is about, if it names none."""
    kind = type(error) if type(error).__module__ == "builtins" else OSError
    code = error_code(error)
    reason = redacted(error.strerror or str(error))
    if code is not None and code not in reason:
        reason = f"{reason} ({code})"
    number = {PermissionError: errno.EACCES, FileNotFoundError: errno.ENOENT}.get(kind, errno.EIO)
    return kind(error.errno or number, reason, redacted(str(error.filename or uri)))


def _http_error(error: aiohttp.ClientResponseError, uri: str) -> OSError:
    message = f"HTTP status {error.status}"
    if error.status in (404, 410):
        return FileNotFoundError(errno.ENOENT, message, uri)
    if error.status in (401, 403, 407):
        return PermissionError(errno.EACCES, message, uri)
    return OSError(errno.EIO, message, uri)


@contextlib.contextmanager
def unusable_names(uri: str) -> Iterator[None]:
    """A name under which no object can be costs its reader that object, and says nothing about
    storage.
    """
    try:
        yield
    except (IsADirectoryError, NotADirectoryError, ParamValidationError, ValueError) as error:
        raise FileNotFoundError(errno.ENOENT, f"not the address of a file: {error}", uri) from error
    except OSError as error:
        # ENXIO: a socket; ELOOP: symbolic links in a circle.
        local = error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO)
        if not local and error_code(error) != "InvalidObjectName":
            raise
        raise FileNotFoundError(errno.ENOENT, "the name is too long or malformed, or no file's", uri) from error


@contextlib.contextmanager
def user_errors(uri: str, key: str) -> Iterator[None]:
    """Turn what goes wrong into a UserError that names the configuration key `key` and says what to do."""
    uri = redacted(uri)
    try:
        yield
    except (OSError, ValueError, ImportError, zipfile.BadZipFile) as error:
        raise UserError(f"{key}: cannot use {uri}: {_explanation(error, uri)}") from error


def _explanation(error: BaseException, uri: str) -> str:
    code = error_code(error)
    if _cause(error, NoCredentialsError):
        return (
            "no S3 credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or run on a machine with a role"
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return f"the S3 credentials are wrong ({code}); check {keys}"
    if code in ("ExpiredToken", "InvalidToken"):
        return f"the S3 session token is not valid any more ({code}); renew the credentials"
    if code in ("AccessDenied", "403"):
        return f"S3 denies access ({code}); the credentials lack permission here, or are wrong"
    if code == "NoSuchBucket":
        return "the bucket does not exist; create it, or check AWS_ENDPOINT_URL"
    if cause := _cause(error, BotoCoreError):
        return f"{cause}; check AWS_ENDPOINT_URL and the network"
    if isinstance(error, FileNotFoundError):
        return "nothing is there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename in (None, uri) else f"{error.strerror} ({error.filename})"
    return redacted(str(error))
