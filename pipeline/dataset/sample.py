"""One sample of a shard's tar: its bytes → its members, read without trust.

The bytes of a sample, `tar_length` from `tar_offset`, are a tar of their own. Its members are called KEY.KIND, with the
kinds `jpg` (the crop with its background), `mask.png` (1 bit, of the crop's size), `txt` (the noun) and `json`.
"""

import io
import tarfile
import zlib
from dataclasses import dataclass

from pipeline import storage
from pipeline.dataset.files import size_differs
from pipeline.dataset.layout import Layout
from pipeline.dataset.plain_tar import plain_members
from pipeline.storage.documents import DamagedFileError, damaged


class DamagedSampleError(Exception):
    """The bytes are not those of the sample."""


@dataclass(frozen=True)
class Members:
    """The members of a sample."""

    key: str
    _contents: dict[str, bytes]

    def __getitem__(self, kind: str) -> bytes:
        """The content of the member of a kind.

        Raises:
            DamagedSampleError: it is not there.
        """
        try:
            return self._contents[self.name(kind)]
        except KeyError:
            raise DamagedSampleError(f"{self.name(kind)} is not there") from None

    def name(self, kind: str) -> str:
        """What the member of a kind is called in the tar: `000012-00034-000.mask.png`."""
        return f"{self.key}.{kind}"


def unpack(data: bytes, key: str | None = None, length: int | None = None) -> Members:
    """Take a sample apart.

    Args:
        data: what lies at its place in the tar.
        key: of the sample; None: that of the first member.
        length: bytes that it should have, if that is known.

    Raises:
        DamagedSampleError: it is cut short, or no tar of files.
    """
    if length is not None and len(data) != length:
        raise DamagedSampleError(size_differs(len(data), length))
    contents = plain_members(data)
    if contents is None:
        contents = _members_by_tarfile(data)
    return Members(next(iter(contents), "").partition(".")[0] if key is None else key, contents)


def _members_by_tarfile(data: bytes) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is None:
                    raise DamagedSampleError("a member is no file")
                contents[member.name] = file.read()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DamagedSampleError(str(error).partition("\n")[0] or type(error).__name__) from error
    return contents


def read_sample(layout: Layout, shard: int, offset: int, length: int) -> Members:
    """Read one sample of a tar: one request.

    Raises:
        DamagedFileError: the tar is missing, or the sample is damaged.
        OSError: storage cannot be read.
    """
    data = read_range(layout, shard, offset, offset + length)
    try:
        return unpack(data, length=length)
    except DamagedSampleError as error:
        raise damaged_sample(layout, shard, offset, error) from error


def read_range(layout: Layout, shard: int, start: int, end: int) -> bytes:
    """Bytes of a tar, fewer if it ends earlier: one request.

    Raises:
        DamagedFileError: the tar is missing.
        OSError: storage cannot be read.
    """
    try:
        return storage.read_bytes(layout.tar(shard), start, end)
    except FileNotFoundError as error:
        raise damaged(layout.tar(shard), "missing") from error


def damaged_sample(layout: Layout, shard: int, offset: int, problem: object) -> DamagedFileError:
    """What to say of a sample that is not what it was."""
    return damaged(layout.tar(shard), f"the sample at byte {offset}: {problem}")


def checksum(jpg: bytes, mask: bytes, txt: bytes) -> int:
    """CRC-32 of what is learnt from a sample. Readers at random take it for each; SHA-256 is of whole tars."""
    return zlib.crc32(txt, zlib.crc32(mask, zlib.crc32(jpg)))
