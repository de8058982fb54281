"""Tables with a column of images and a column of captions: Parquet, Arrow, CSV, TSV, JSON lines."""

import posixpath
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captions.carried import Carried, as_plain, plain_type
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.grouping import flags, grouped, is_absolute
from pipeline.captions.source import image_root
from pipeline.captions.table_files import (
    FOLDER_SUFFIXES,
    NAMED_SUFFIXES,
    TYPED_SUFFIXES,
    Columns,
    TableFile,
    check_columns,
    open_table,
    suffix_of,
)
from pipeline.captions.table_rows import FURTHER, identified, one_caption_per_row
from pipeline.captions.text_table import shown
from pipeline.errors import UserError
from pipeline.storage.common_folder import common_folder, parts, relative
from pipeline.storage.patterns import matching_files

_CARRIED = "carried {}"
"""What a column of `captions.keep` or `captions.where` is called while a file is read."""


class TableCaptions:
    """Images sorted by id, their captions in the order of the files (by name) and rows.

    The id is the text of the id column, or else the image column as it stands in the table (without the secrets that a
    URL may hold), or else, for a picture in the table itself, FILE/ROW. In CSV and TSV an empty field is an empty text.
    A caption that is a list as text (`["a", "b"]`) is the captions of the list. In a folder, `cache-….arrow`, which
    Hugging Face `datasets` leaves there, is no part of the table.

    Problems, one row per row of the table: `bad_row` (a row of a text table that cannot be read; its id is FILE:LINE),
    `bad_text` (not UTF-8), `null_image` (image null or empty), `null_id`, `null_caption` (null, an empty list, or a
    null in a list), `bad_caption` (JSON, but no text or list of texts), and those of `grouped`.
    """

    def __init__(self, config: CaptionsConfig) -> None:
        files = matching_files(config.path, FOLDER_SUFFIXES, named_suffixes=NAMED_SUFFIXES)
        self._files = [file for file in files if file == config.path or not _is_cache(file)] or files
        if unprintable := [file for file in self._files if shown(file) != file]:
            raise UserError(f"captions.path: the name of {shown(unprintable[0])!r} is not UTF-8; rename the file")
        typed = {suffix_of(file) in TYPED_SUFFIXES for file in self._files}
        if len(typed) > 1:
            raise UserError(
                f"captions.path: {config.path} matches Parquet or Arrow, and text tables; name one kind of them"
            )
        if config.columns is not None and typed == {True}:
            raise UserError("captions.columns: names the columns of text tables; those of Parquet have names already")
        self._names = config.columns
        self._images = image_root(config.images)
        self._columns = _columns(config)
        self._has_several = config.caption_columns is not None
        self._carried = Carried(config)
        kinds: dict[str, list[pa.DataType]] = {name: [] for name in self._carried.keep}
        for file in self._files:
            with open_table(file, self._names) as table:
                columns = self._all_columns(table, file)
                check_columns(table, file, {name: columns[name] for name in self._columns})
                for name in self._carried.keep:
                    kinds[name].append(_kept_type(table, file, name))
        self._kept = [pa.field(name, plain_type(types)) for name, types in kinds.items()]
        self._check_first_rows()

    @property
    def dropped(self) -> int | None:
        """See `CaptionSource`."""
        return self._carried.dropped

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, sorted through files on the local disk; what cannot be used follows its image."""
        self._carried.begin()
        return grouped(self._read(), self._images, self._kept)

    def _all_columns(self, table: TableFile, file: str) -> Columns:
        """The columns to read of a file, those that are carried included."""
        carried = self._carried.names(table.names, file)
        return self._columns | {_CARRIED.format(name): ("captions.keep", name) for name in carried}

    def _check_first_rows(self) -> None:
        """A forgotten `captions.images` or a wrong delimiter is found at once, a single odd row only gets rejected."""
        batch = next(self._read(judged=False), None)
        if batch is None or not len(batch):
            return
        rows = batch.to_pylist()
        bad = [row["image_id"] for row in rows if row["problem"] == "bad_row"]
        if len(bad) == len(rows):
            raise UserError(
                f"captions.path: of the first {len(rows)} rows of {self._files[0]} none has as many fields as there "
                f"are columns (such as {bad[0]})"
            )
        names = [row["image"] or row["image_id"] for row in rows if row["problem"] is None and row["address"] is None]
        names = [name for name in names if name]
        if names and self._images is None and not is_absolute(pa.array(names))[0].as_py():
            raise UserError(
                f"captions.images: must be set, since {self._files[0]} names its images relatively ({names[0]!r})"
            )

    def _read(self, judged: bool = True) -> Iterator[pa.RecordBatch]:
        """All rows of all files, one caption per row: `grouping.ROWS`, with `kept`.

        Args:
            judged: without the rows that `captions.where` drops.
        """
        folder = common_folder(parts(file)[:-1] for file in self._files)
        for file in self._files:
            name = relative(file, folder)
            if name.lower().endswith(suffix_of(file)):
                name = name[: -len(suffix_of(file))]
            first = 0
            with open_table(file, self._names) as table:
                columns = {inner: column for inner, (_, column) in self._all_columns(table, file).items()}
                for batch in table.batches(columns):
                    arrays = {inner: batch[inner] for inner in batch.schema.names}
                    rows = identified(arrays, name, first)
                    first += len(batch)
                    carried = {column: arrays[inner] for inner, column in columns.items() if inner not in self._columns}
                    holds = self._carried.holds(carried, flags(pc.is_valid(rows["problem"]))) if judged else None
                    if holds is not None:
                        wanted = pa.array(holds)
                        rows = {inner: array.filter(wanted) for inner, array in rows.items()}
                        carried = {column: array.filter(wanted) for column, array in carried.items()}
                    yield one_caption_per_row(rows, self._has_several, self._kept_of(carried))

    def _kept_of(self, carried: dict[str, pa.Array]) -> pa.StructArray | None:
        if not self._kept:
            return None
        arrays = [as_plain(carried[field.name], field.type) for field in self._kept]
        return pa.StructArray.from_arrays(arrays, fields=self._kept)


def _columns(config: CaptionsConfig) -> Columns:
    columns = {} if config.id_column is None else {"image_id": ("captions.id_column", config.id_column)}
    columns["image"] = ("captions.image_column", config.image_column)
    if config.caption_columns is None:
        columns["caption"] = ("captions.caption_column", config.caption_column)
    elif not config.caption_columns:
        raise UserError("captions.caption_columns is empty; name columns, or unset it")
    for number, column in enumerate(config.caption_columns or []):
        columns[FURTHER.format(number) if number else "caption"] = ("captions.caption_columns", column)
    return columns


def _is_cache(file: str) -> bool:
    name = posixpath.basename(file)
    return name.startswith("cache-") and name.endswith(".arrow")


def _kept_type(table: TableFile, file: str, name: str) -> pa.DataType:
    kind = table.types[table.names.index(name)]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view():
        raise UserError(f"captions.keep: column {name!r} of {file} is of type {kind}, which is not kept")
    return kind
