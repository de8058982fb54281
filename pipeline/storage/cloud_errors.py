"""What gcsfs (`gs://`) and adlfs (`az://`, `abfs://`) raise, made into errors with one meaning each (see the package).

Both are optional, so their exceptions are known here by the names of their modules.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from pipeline.storage.secrets import redacted

_EXTRAS = {"gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
_GOOGLE = "set GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`"
_AZURE = (
    "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or "
    "AZURE_STORAGE_CONNECTION_STRING"
)


@contextlib.contextmanager
def named_extras(protocol: str) -> Iterator[None]:
    """Say what to install where the library of a protocol is missing, and what to set where Azure's account is."""
    try:
        yield
    except ImportError as error:
        if protocol not in _EXTRAS:
            raise
        advice = f"pip install 'ovseg-pipeline[{_EXTRAS[protocol]}]'"
        raise ImportError(f"{protocol}:// needs a library that is not installed: {advice}") from error
    except ValueError as error:
        if _EXTRAS.get(protocol) != "azure" or "unable to connect to account" not in str(error):
            raise
        raise PermissionError(errno.EACCES, f"Azure's account is not known, or not valid; {_AZURE}") from error


@contextlib.contextmanager
def cloud_errors(uri: str) -> Iterator[None]:
    """Let only OSErrors of the right kind out in place of theirs."""
    try:
        yield
    except Exception as error:
        if (plain := _plain(error, uri)) is None:
            raise
        raise plain from error


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an exception that `cloud_errors` made, if one is known."""
    for found in (error, error.__cause__ if error else None):
        for status in (getattr(found, "status_code", None), getattr(found, "code", None)):
            if str(status).isdecimal():
                return int(str(status))
    return None


def _plain(error: Exception, uri: str) -> OSError | None:
    library = type(error).__module__
    said = redacted(str(error)).strip().partition("\n")[0]
    if library.startswith("google.auth."):
        reason = f"Google's credentials were not found, or do not work ({said}); {_GOOGLE}"
        return PermissionError(errno.EACCES, reason, uri)
    if type(error) is OSError and said.startswith("Forbidden: "):  # of gcsfs, for the status 403
        return PermissionError(errno.EACCES, f"Google Cloud Storage denies access ({said})", uri)
    if not library.startswith(("gcsfs.", "azure.core.")):
        return None
    status = status_of(error)
    if status == 404:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
    if status in (401, 403):
        advice = _AZURE if library.startswith("azure") else _GOOGLE
        return PermissionError(errno.EACCES, f"storage denies access (HTTP status {status}: {said}); {advice}", uri)
    return OSError(errno.EIO, f"HTTP status {status}: {said}" if status else f"{type(error).__name__}: {said}", uri)
