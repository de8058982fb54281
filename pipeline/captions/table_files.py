"""The files of a caption table: Parquet, Arrow, CSV, TSV and JSON lines made alike."""

import contextlib
import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pyarrow as pa

from pipeline import storage
from pipeline.captions.arrow_table import ArrowTable
from pipeline.captions.json_table import JsonTable
from pipeline.captions.parquet_table import ParquetTable
from pipeline.captions.parquet_texts import is_list, is_text
from pipeline.captions.picture_addresses import is_image_type
from pipeline.captions.text_fields import TextFields
from pipeline.captions.text_table import looks_like_data
from pipeline.errors import UserError

# Of .txt the first line tells.
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": None}
_JSON = (".jsonl", ".ndjson", ".json")
_ARROW = (".arrow", ".feather")
TYPED_SUFFIXES = (".parquet", *_ARROW)
"""Of files whose columns have types."""
SUFFIXES = (*TYPED_SUFFIXES, *(f"{kind}{packed}" for kind in (*_DELIMITERS, *_JSON) for packed in ("", ".gz")))
# In a folder these are more often a README, a licence or a description.
NAMED_SUFFIXES = (".txt", ".txt.gz", ".json", ".json.gz")
FOLDER_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix not in NAMED_SUFFIXES)

Columns = dict[str, tuple[str, str]]
"""By what a column is called here the configuration key, and what it is called in the file: `image`, `caption` (and
`caption 1` and so on of further ones), perhaps `image_id`, and those that are carried, as they are called."""


class TableFile(Protocol):
    """One open file."""

    names: list[str]
    """Of its columns."""
    types: list[pa.DataType]
    """Of its columns; text formats have text alone."""

    def batches(self, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """All rows.

        Besides the columns there may be `problem` (null, or why a row is rejected) and `address` (of the picture, where
        it is in the table itself). A row that cannot be read has `image` and `image_id` FILE:LINE.

        Args:
            columns: what they are to be called, and what they are called in the file; `image` and `caption` at least.
        """
        ...


def suffix_of(file: str) -> str:
    """The kind of a file by its name; a file that a pattern named, of no known suffix, is Parquet if it says so.

    Raises:
        UserError: the kind of the file is not known.
    """
    name = file.partition("::")[0].lower()
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
    if suffix is None:
        if storage.read_bytes(file, 0, 4) != b"PAR1":
            raise UserError(
                f"captions.path: {file} is there, but its kind is not known; read are {', '.join(SUFFIXES)}"
            )
        return ".parquet"
    return suffix


@contextlib.contextmanager
def open_table(file: str, names: list[str] | None) -> Iterator[TableFile]:
    """One file.

    Args:
        names: the names of the columns of a text table without a header.

    Raises:
        UserError: the file cannot be read, also while it is open.
        OSError: storage is broken or unreachable.
    """
    suffix = suffix_of(file)
    with contextlib.ExitStack() as opened:
        try:
            yield _opened(file, suffix, names, opened.enter_context)
        except (pa.ArrowInvalid, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"captions.path: {file} cannot be read: {error}") from error
        except OSError as error:
            if not storage.is_damage(error):
                raise
            raise UserError(f"captions.path: {file} cannot be read: {error}") from error


def _opened(file: str, suffix: str, names: list[str] | None, enter: Callable[[Any], Any]) -> TableFile:
    if suffix in _ARROW:
        return enter(contextlib.closing(ArrowTable(file)))
    if suffix == ".parquet":
        return ParquetTable(enter(storage.open_input(file)), file)
    stream = enter(storage.open_input(file, read_ahead=True))
    kind = suffix.removesuffix(".gz")
    unpacked = gzip.GzipFile(fileobj=stream) if suffix.endswith(".gz") else stream
    try:
        if kind in _JSON:
            return JsonTable(unpacked, file, lines=kind != ".json")
        return TextFields(unpacked, file, _DELIMITERS[kind], names)
    except UserError as error:
        raise UserError(f"captions.path: {file} cannot be read: {error}") from error


def check_columns(table: TableFile, file: str, columns: Columns) -> None:
    """Check that a file has the columns, once and of types that can be used.

    Raises:
        UserError: naming the key of one.
    """
    has_header = isinstance(table, TextFields) and table.has_header
    for name, (key, column) in columns.items():
        if column not in table.names:
            hint = ""
            if has_header and looks_like_data(table.names):
                hint = (
                    "; if the file has no header and this is its first row, name the columns with captions.columns, "
                    "such as '[caption, url]'"
                )
            elif has_header and len(table.names) == 1:
                hint = "; fields are separated by commas in .csv, by tabs in .tsv, and by either in .txt"
            elif pictures := [
                other for other, kind in zip(table.names, table.types, strict=True) if is_image_type(kind)
            ]:
                hint = f"; pictures are in {', '.join(pictures[:8])}" if name == "image" else ""
            given = ", ".join(other[:60] for other in table.names[:20]) or "none"
            raise UserError(f"{key}: {file} has no column {column!r}; it has {given}{hint}")
        if table.names.count(column) > 1:
            raise UserError(f"{key}: two columns of {file} are called {column!r}; rename one of them")
    for name, (key, column) in columns.items():
        _check_type(file, name, key, column, table.types[table.names.index(column)])


def _check_type(file: str, name: str, key: str, column: str, kind: pa.DataType) -> None:
    if name == "image" and is_image_type(kind):
        return
    if name.startswith("caption") and is_list(kind):
        kind = kind.value_type
    if not is_text(kind) and not (name == "image_id" and pa.types.is_integer(kind)):
        raise UserError(f"{key}: column {column!r} of {file} is of type {kind}, not text")
