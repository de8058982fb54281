"""Addresses of pictures inside tables: `parquet://COLUMN/GROUP/ROW::FILE`, the row of a row group, and
`arrow://COLUMN/OFFSET/ROW::FILE`, the row of the record batch whose message begins at that byte of the file.
"""

import contextlib
import errno
from collections.abc import Iterator
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.captions.addresses import address_refusal
from pipeline.images import ImageProblem
from pipeline.storage.errors import plain_errors
from pipeline.storage.secrets import redacted

Kind = Literal["parquet", "arrow"]


class Place(NamedTuple):
    """Where in a table a picture is."""

    kind: Kind
    column: str
    part: int
    """Index of the row group, or offset of the record batch in bytes."""
    row: int
    """In that part, from 0."""
    file: str


def is_in_table(image_uri: str) -> bool:
    """Whether the address of a listing row is that of a picture in a table."""
    return image_uri.startswith(("parquet://", "arrow://"))


def addresses_of(place: Place, count: int) -> pa.Array:
    """The addresses of `count` rows that follow one another, the first of them at `place`, text [count]."""
    before, after = f"{place.kind}://{quote(place.column, safe='')}/{place.part}/", f"::{place.file}"
    return pa.array([f"{before}{place.row + row}{after}" for row in range(count)], pa.string())


def place_of(image_uri: str) -> Place:
    """The place that an address names. The address is judged again: the listing may be another's, or edited.

    Raises:
        ImageProblem: `refused_address`, `secret_in_address`.
    """
    kind, _, inner = image_uri.partition("://")
    position, _, file = inner.partition("::")
    if problem := address_refusal(file):
        raise ImageProblem(problem, redacted(image_uri))
    column, part, row = position.rsplit("/", 2)
    return Place("arrow" if kind == "arrow" else "parquet", unquote(column), int(part), int(row), file)


@contextlib.contextmanager
def damage_as_arrows(file: str) -> Iterator[None]:
    """Let what is wrong with the content of a table out as `pa.ArrowInvalid`, and storage's errors as they are."""
    with plain_errors(file):
        try:
            yield
        except EOFError as error:
            raise pa.ArrowInvalid(f"{file} ends early: {error}") from error
        except OSError as error:
            if storage.is_damage(error):
                raise pa.ArrowInvalid(str(error)) from error
            raise


def whole(picture: pa.Scalar | None, image_uri: str, max_bytes: int | None) -> bytes:
    """The bytes of a picture that was found.

    Raises:
        FileNotFoundError: there is none (None, or null).
        ImageProblem: `too_many_bytes`.
    """
    data = None if picture is None else picture.as_buffer()
    if data is None:
        raise FileNotFoundError(errno.ENOENT, "the table holds no such picture any more", image_uri)
    if max_bytes is not None and data.size > max_bytes:
        raise ImageProblem("too_many_bytes", f"{data.size} bytes, images.max_bytes is {max_bytes}")
    return data.to_pybytes()


def is_image_type(kind: pa.DataType) -> bool:
    """Whether a column holds pictures: binary, or a struct of `bytes` and perhaps `path`."""
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        return "bytes" in names and _is_binary(kind.field("bytes").type)
    return _is_binary(kind)


def bytes_of(pictures: pa.Array) -> pa.Array:
    """The bytes of a column of pictures, binary [n]."""
    if not pa.types.is_struct(pictures.type):
        return pictures
    # A picture that is null itself has no bytes, whatever stands below it.
    return pc.if_else(pictures.is_valid(), pc.struct_field(pictures, "bytes"), None)


def path_of(pictures: pa.Array) -> pa.Array:
    """The paths beside the bytes of a column of pictures, text [n], null where there is none."""
    kind = pictures.type
    if not pa.types.is_struct(kind) or "path" not in [field.name for field in kind]:
        return pa.nulls(len(pictures), pa.string())
    path = pc.struct_field(pictures, "path").cast(pa.string())
    return pc.if_else(pictures.is_valid(), path, None)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view()
