"""The members of a tar, read in order and never taken at their word: sizes, kinds and names are another's."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.storage.patterns import is_hidden

LONGEST_TEXT = 2**20
"""Bytes of a caption or a description that are read."""

# Names and attributes in front of a member have to fit, too.
_LONGEST_READ = LONGEST_TEXT + tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Member:
    """A file of a tar."""

    name: str
    """As the tar has it; bytes that are no UTF-8 are surrogates."""
    offset: int | None
    """First byte of its content in the tar; None for links and sparse files, whose content is not there as it is."""
    size: int
    """Bytes."""
    data: bytes | None
    """Its content, if it was wanted and could be read."""


def whole_members(file: Any, wanted: Callable[[str, int], bool]) -> Iterator[Member | None]:
    """The files of a tar; None at the end if the tar is damaged or ends early.

    Left out are what Macs and tars without pax add: names that begin with a dot, `__MACOSX/`, `PaxHeaders.1/`; and
    WebDataset's own `__…__`.

    Args:
        file: the open tar.
        wanted: by name and size in bytes, whether the content is read into memory.
    """
    size = file.seek(0, 2)
    file.seek(0)
    end = 0
    try:
        # To read a tar takes neither of the two methods that the annotations ask for besides.
        with tarfile.open(fileobj=_Bounded(file, size), mode="r:") as archive:  # type: ignore[call-overload]
            for member in archive:
                # tarfile remembers every member: memory that grows with the tar.
                archive.members = []
                is_plain = member.isfile() and not member.issparse()
                # A negative size would lead back, again and again; tarfile ends without a word where a tar is cut off.
                if archive.offset <= end or member.size < 0 or (is_plain and member.offset_data + member.size > size):
                    yield None
                    return
                end = archive.offset
                is_link = member.issym() or member.islnk()
                if not (member.isfile() or is_link) or _is_foreign(member.name):
                    continue
                data = None
                if is_plain and wanted(member.name, member.size):
                    data = archive.extractfile(member).read()
                yield Member(member.name, member.offset_data if is_plain else None, member.size, data)
            file.seek(archive.offset)
            ended = file.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError, TypeError, RecursionError):
        # The last are tarfile's answers to headers that no program wrote.
        ended = False
    if not ended:
        yield None


def shown(name: str) -> str:
    """A member's name as it can be stored and printed: bytes that are no UTF-8 are escaped, as in `\\xb9.jpg`."""
    try:
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        return name.encode(errors="backslashreplace").decode()


def address(name: str, tar: str) -> str:
    """The URI of a member. "::" in its name, which would look like the end of it, is escaped."""
    name = shown(name)
    if "::" in f"{name}:":
        name = name.replace(":", "%3A")
    return f"tar://{name}::{tar}"


def _is_foreign(name: str) -> bool:
    *folders, base = name.removeprefix("./").split("/")
    return (
        not base
        or is_hidden(base)
        or (base.startswith("__") and base.endswith("__"))
        or any(folder == "__MACOSX" or folder.lstrip("@").startswith("PaxHeader") for folder in folders)
    )


class _Bounded:
    """A tar as tarfile may see it: no header makes it read more than a header can have, or beyond the end."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._size = size

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        if not 0 <= position <= self._size:
            raise tarfile.ReadError(f"a header that leads to byte {position}")
        return self._file.seek(position)
