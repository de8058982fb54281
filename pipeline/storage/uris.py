"""URIs as strings: nothing here asks storage for anything."""

import os


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


def absolute(uri: str) -> str:
    """A local path made absolute; other URIs as they are. In a chain, the archive's path is made absolute."""
    head, separator, archive = uri.rpartition("::")
    return head + separator + (archive if "://" in archive else os.path.abspath(archive))


def protocol(uri: str) -> str:
    """What stands before `://`; "file" for a path."""
    return uri.partition("://")[0] if "://" in uri else "file"


def is_zip_member(uri: str) -> bool:
    """Whether a URI names something in a zip archive."""
    return uri.startswith("zip://") and "::" in uri
