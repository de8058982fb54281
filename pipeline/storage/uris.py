"""URIs as strings: nothing here asks storage for anything."""

import os

from pipeline.errors import UserError


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
    return all("://" in part or part.startswith(("/", "~")) for part in uri.split("::"))


def absolute(uri: str) -> str:
    """A local path made absolute, with ~ and ~user as the folders that they stand for; other URIs as they are, and
    what is empty or blank. In a chain, the archive's path is made absolute.

    Raises:
        UserError: there is no such user.
    """
    head, separator, archive = uri.rpartition("::")
    if "://" in archive or not archive.strip():
        return uri
    return head + separator + os.path.abspath(_from_home(archive))


def _from_home(path: str) -> str:
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        user = expanded.partition("/")[0]
        raise UserError(f"{path}: no user is called {user[1:]!r}; for a folder called {user} write ./{path}")
    return expanded


def protocol(uri: str) -> str:
    """What stands before `://`; "file" for a path."""
    return uri.partition("://")[0] if "://" in uri else "file"


def is_zip_member(uri: str) -> bool:
    """Whether a URI names something in a zip archive."""
    return uri.startswith("zip://") and "::" in uri
