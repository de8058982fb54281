"""What huggingface_hub raises, made into errors with one meaning each (see the package) that say what to do."""

import contextlib
import errno
from collections.abc import Iterator

from pipeline.errors import UserError
from pipeline.storage.secrets import redacted

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may read it"


def is_on_the_hub(uri: str) -> bool:
    """Whether a URI, or the archive that it is in, lies on the Hugging Face hub."""
    return "hf://" in uri


@contextlib.contextmanager
def hub_errors(uri: str) -> Iterator[None]:
    """Let only OSErrors of the right kind, and ValueErrors, out.

    fsspec says "not found" of a dataset that is private, or gone; to a reader that would say something about one file.
    """
    if not is_on_the_hub(uri):
        yield
        return
    # HTTPError is that of the client that this version of huggingface_hub has.
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError

    try:
        yield
    except NotImplementedError as error:  # of "hf://" alone
        raise ValueError("it names no dataset; write hf://datasets/ORG/NAME[@REVISION]/PATH") from error
    except FileNotFoundError as error:
        if isinstance(error.__cause__, HfHubHTTPError) and not isinstance(error.__cause__, EntryNotFoundError):
            raise _of_repository(error.__cause__, uri) from error
        raise
    except EntryNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "the dataset has no such file", uri) from error
    except HfHubHTTPError as error:
        raise _of_repository(error, uri) from error
    except HTTPError as error:
        reason = f"the hub did not answer ({type(error).__name__}: {error}); check HF_ENDPOINT and the network"
        raise OSError(errno.EIO, reason, uri) from error


def _of_repository(error: OSError, uri: str) -> OSError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = _status(error)
    if isinstance(error, GatedRepoError):
        reason = f"one has to ask for access on its page on the hub first; then {_LOG_IN}"
        return PermissionError(errno.EACCES, reason, uri)
    if isinstance(error, RepositoryNotFoundError):
        hint = "" if "hf://datasets/" in uri else " (of a dataset, the address begins with hf://datasets/)"
        return PermissionError(
            errno.EACCES, f"the hub has no such repository{hint}, or does not show it; if it is private, {_LOG_IN}", uri
        )
    if isinstance(error, RevisionNotFoundError):
        return OSError(errno.EIO, "it has no such revision; name a branch, a tag or a commit after the @", uri)
    if status in (401, 403):
        return PermissionError(errno.EACCES, f"the hub refuses it (HTTP status {status}); {_LOG_IN}", uri)
    return OSError(errno.EIO, f"HTTP status {status} of the hub" if status else str(error), uri)


@contextlib.contextmanager
def upload_errors(uri: str, key: str) -> Iterator[None]:
    """As `hub_errors`, for uploads: what the user can change is a UserError, the rest an OSError: it may pass.

    Args:
        uri: of the repository.
        key: of the command line, for messages.
    """
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UserError(f"{key}: cannot use {uri}: HF_HUB_OFFLINE is set; unset it to upload") from error
    except (HTTPError, RuntimeError) as error:
        # huggingface_hub raises RuntimeError, with the reason as its cause, where one of several files fails.
        cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ else error
        if isinstance(cause, OSError) and (explained := _refusal(cause)):
            raise UserError(f"{key}: cannot upload to {uri}: {explained}") from error
        status = _status(cause)
        reason = f"HTTP status {status}" if status else f"{type(cause).__name__}: {redacted(str(cause))}"
        raise OSError(errno.EIO, f"the hub did not take it ({reason})", uri) from error
    except ValueError as error:  # of names and cards, by huggingface_hub itself
        raise UserError(f"{key}: cannot upload to {uri}: {redacted(str(error))}") from error


def _refusal(error: OSError) -> str | None:
    """Why the hub says no, and what to do; None for what may pass."""
    status = _status(error)
    said = redacted(getattr(error, "server_message", None) or "").strip()
    said = f": {said}" if said else ""
    if status == 401:
        return f"the hub does not know the token{said}; make a new one, and `hf auth login` or set HF_TOKEN"
    if status == 403:
        return (
            f"the hub refuses it{said}; the token needs the right to write there, and its owner to be a member of the "
            "organisation: see https://huggingface.co/settings/tokens"
        )
    if status == 404:
        return f"the hub has no such repository, or does not show it to the owner of the token{said}"
    if status in (400, 402, 413, 422):
        return f"the hub refuses it (HTTP status {status}){said}"
    return None


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
