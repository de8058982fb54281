"""What the files of a mined dataset say of each other, read without trust: the dataset may be another's, or damaged.

Everything that reads a dataset comes through here for the names and checksums that it acts on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline import storage
from pipeline.dataset.layout import Layout, checked_file, shard_of
from pipeline.storage.documents import damaged, read_json

_HASH = re.compile("[0-9a-f]{64}")
_OF_A_SHARD = ("manifests", "captions", "candidates", "proposals", "rejects", "shards")


@dataclass(frozen=True)
class Damage:
    """A file that is missing or not what it was."""

    file: str
    """Path inside the output directory."""
    reason: str

    @property
    def shard(self) -> int | None:
        """The shard it belongs to; None for a file of the whole dataset."""
        folder, _, name = self.file.partition("/")
        return shard_of(folder, name) if folder in _OF_A_SHARD else None


def listed_files(layout: Layout) -> dict[str, dict]:
    """The files that `dataset.json` lists, each with `sha256` and `bytes`; {} while the dataset is not complete.

    Raises:
        UserError: it is damaged, or names something that is no file of a dataset.
        OSError: storage cannot be read.
    """
    try:
        totals = read_json(layout.dataset)
    except FileNotFoundError:
        return {}
    return checked_files(totals.get("files", {}), layout.dataset)


def checked_files(files: Any, uri: str) -> dict[str, dict]:
    """Names and checksums as a file of a dataset lists them.

    Raises:
        UserError: a name leads elsewhere (`layout.checked_file`), or a checksum is none.
    """
    if not isinstance(files, dict):
        raise damaged(uri, "its list of files is none")
    for name, expected in files.items():
        checked_file(name, uri)
        digest, size = (expected.get("sha256"), expected.get("bytes")) if isinstance(expected, dict) else (None, None)
        if not isinstance(digest, str) or not _HASH.fullmatch(digest) or type(size) is not int or size < 0:
            raise damaged(uri, f"{name} has no checksum there")
    return files


def check_file(layout: Layout, file: str, expected: dict) -> Iterator[Damage]:
    """Compare a file of a dataset with its expected `sha256` and `bytes`; yields at most one damage."""
    try:
        digest, size = storage.sha256(layout.path(file))
    except FileNotFoundError:
        yield Damage(file, "missing")
        return
    if size != expected["bytes"]:
        yield Damage(file, size_differs(size, expected["bytes"]))
    elif digest != expected["sha256"]:
        yield Damage(file, CONTENT_DIFFERS)


CONTENT_DIFFERS = "content differs from its checksum"


def size_differs(found: int, expected: int) -> str:
    """What to say of data that is cut short, or too long."""
    return f"{found} bytes instead of {expected}"
