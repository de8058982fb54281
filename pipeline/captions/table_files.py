"""The files of a caption table: Parquet, CSV and TSV made alike."""

import contextlib
import gzip
import posixpath
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.captions import parquet_images
from pipeline.captions.parquet_texts import checked, is_list, is_text
from pipeline.captions.text_table import TextTable, in_batches, looks_like_data, shown
from pipeline.errors import UserError

# Of .txt the first line tells.
_DELIMITERS = {
    ".csv": ",",
    ".csv.gz": ",",
    ".tsv": "\t",
    ".tsv.gz": "\t",
    ".txt": None,
    ".txt.gz": None,
}
SUFFIXES = (".parquet", *_DELIMITERS)
# In a folder these are more often a README or a licence.
NAMED_SUFFIXES = (".txt", ".txt.gz")
FOLDER_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix not in NAMED_SUFFIXES)
_ROWS_PER_BATCH = 2**15

Columns = dict[str, tuple[str, str | None]]
"""For `image_id`, `image` and `caption` the configuration key, and the name of the column (None: there is none)."""


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
def open_table(file: str, columns: Columns, names: list[str] | None) -> Iterator[Iterator[pa.RecordBatch]]:
    """The rows of one file, in batches with text columns called as in `columns`; `caption` may be of lists.

    Besides there may be `problem` (null, or why a row is rejected) and `address` (of the picture, where it is in the
    table itself). A row that cannot be read has `image` and `image_id` FILE:LINE.

    Args:
        names: the names of the columns of a text table without a header.

    Raises:
        UserError: a column is not there, twice there, or of another type; the file cannot be read.
        OSError: storage is broken or unreachable.
    """
    is_parquet = suffix_of(file) == ".parquet"
    with storage.open_input(file, read_ahead=not is_parquet) as stream:
        try:
            if is_parquet:
                yield _parquet_batches(stream, file, columns)
            else:
                yield _text_batches(stream, file, columns, names)
        except (pa.ArrowInvalid, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"captions.path: {file} cannot be read: {error}") from error
        except OSError as error:
            if not storage.is_damage(error):
                raise
            raise UserError(f"captions.path: {file} cannot be read: {error}") from error


def _parquet_batches(stream: BinaryIO, file: str, columns: Columns) -> Iterator[pa.RecordBatch]:
    parquet = pq.ParquetFile(stream, buffer_size=2**20)
    schema = parquet.schema_arrow
    _check_names(file, columns, schema.names)
    for name, (key, column) in columns.items():
        if column is not None:
            _check_type(file, name, key, schema.field(column))
    wanted = list(dict.fromkeys(column for _, column in columns.values() if column))
    image = columns["image"][1]
    assert image is not None  # of the three columns it is the one that every table has
    if parquet_images.is_image_type(schema.field(image).type):
        batches = parquet_images.addresses(parquet, file, image, [column for column in wanted if column != image])
        columns = columns | {"image": ("", "image"), "address": ("", "address")}
    else:
        batches = parquet.iter_batches(_ROWS_PER_BATCH, columns=wanted, use_threads=False)
    return (checked({name: batch[column] for name, (_, column) in columns.items() if column}) for batch in batches)


def _text_batches(stream: BinaryIO, file: str, columns: Columns, names: list[str] | None) -> Iterator[pa.RecordBatch]:
    suffix = suffix_of(file)
    unpacked = gzip.GzipFile(fileobj=stream) if suffix.endswith(".gz") else stream
    try:
        table = TextTable(unpacked, _DELIMITERS[suffix], names)
    except UserError as error:
        raise UserError(f"captions.path: {file} cannot be read: {error}") from error
    _check_names(file, columns, table.names, table.has_header)
    indices = {name: table.names.index(column) for name, (_, column) in columns.items() if column}
    return _text_columns(table, file, indices)


def _text_columns(table: TextTable, file: str, indices: dict[str, int]) -> Iterator[pa.RecordBatch]:
    for batch in in_batches(table.rows(indices["image"]), _ROWS_PER_BATCH):
        problems: list[str | None] = [None] * len(batch)
        values: dict[str, list] = {name: [] for name in indices}
        for row, (line, fields) in enumerate(batch):
            if fields is None:
                problems[row] = "bad_row"
                label = f"{posixpath.basename(file)}:{line}"
            for name, index in indices.items():
                values[name].append(fields[index] if fields else None if name == "caption" else label)
        try:
            arrays = {name: pa.array(texts, pa.string()) for name, texts in values.items()}
        except UnicodeEncodeError:  # bytes that are no UTF-8, in a row at least
            for row in range(len(batch)):
                fields = [texts[row] for texts in values.values() if texts[row] is not None]
                if any(shown(field) != field for field in fields):
                    problems[row] = "bad_text"
                    values["caption"][row] = None
            arrays = {
                name: pa.array([text if text is None else shown(text) for text in texts], pa.string())
                for name, texts in values.items()
            }
        yield pa.record_batch(arrays | {"problem": pa.array(problems, pa.string())})


def _check_names(file: str, columns: Columns, names: list[str], has_header: bool = False) -> None:
    for key, column in columns.values():
        if column is None:
            continue
        if column not in names:
            hint = ""
            if has_header and looks_like_data(names):
                hint = (
                    "; if the file has no header and this is its first row, name the columns with captions.columns, "
                    "such as '[caption, url]'"
                )
            elif has_header and len(names) == 1:
                hint = "; fields are separated by commas in .csv, by tabs in .tsv, and by either in .txt"
            given = ", ".join(name[:60] for name in names[:20])
            raise UserError(f"{key}: {file} has no column {column!r}; it has {given}{hint}")
        if names.count(column) > 1:
            raise UserError(f"{key}: two columns of {file} are called {column!r}; rename one of them")


def _check_type(file: str, name: str, key: str, field: pa.Field) -> None:
    kind = field.type
    if name == "image" and parquet_images.is_image_type(kind):
        return
    if name == "caption" and is_list(kind):
        kind = kind.value_type
    if not is_text(kind) and not (name == "image_id" and pa.types.is_integer(kind)):
        raise UserError(f"{key}: column {field.name!r} of {file} is of type {kind}, not text")
