"""Names of files relative to the folder that they share, whatever storage they are on.

`/photos/a/1.jpg` and `/photos/b/1.jpg` are `a/1.jpg` and `b/1.jpg`; files with nothing in common are called by their
whole address, such as `s3/bucket/1.jpg` and `file/photos/1.jpg`.
"""

from collections.abc import Iterable
from itertools import takewhile

from pipeline.storage.uris import protocol

Parts = tuple[str, ...]


def parts(uri: str) -> Parts:
    """The protocol, the folders and the name of an address; an archive is a folder of its members.

    `zip://a/1.jpg::s3://bucket/b.zip` is ("s3", "bucket", "b.zip", "a", "1.jpg").
    """
    *members, outermost = uri.split("::")
    # ".." in the name of a member or an object would lead out of the folder that a relative name is written into.
    path = [
        part
        for address in (outermost, *reversed(members))
        for part in address.rpartition("://")[2].split("/")
        if part not in ("", ".", "..")
    ]
    return (protocol(outermost), *path)


def common_folder(folders: Iterable[Parts]) -> Parts:
    """The deepest folder in which all of these are; of one, itself; () if they have nothing in common."""
    shared: Parts | None = None
    for folder in folders:
        if shared is None:
            shared = folder
        elif folder[: len(shared)] != shared:
            same = takewhile(lambda pair: pair[0] == pair[1], zip(shared, folder, strict=False))
            shared = tuple(part for part, _ in same)
    return shared or ()


def relative(uri: str, folder: Parts) -> str:
    """The name of a file relative to a folder that it is in: "a/1.jpg"."""
    return "/".join(parts(uri)[len(folder) :])


def address(folder: Parts) -> str:
    """A folder as a path or URI; an archive's members are written as if it were a folder. "" for nothing in common."""
    if folder[:1] == ("file",):
        return "/" + "/".join(folder[1:])
    return f"{folder[0]}://{'/'.join(folder[1:])}" if folder else ""
