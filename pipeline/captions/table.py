"""Parquet, CSV and TSV tables with a column of images and a column of captions."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.files import matching_files
from pipeline.captions.sorting import sort_batches
from pipeline.captions.source import image_addresses, image_root
from pipeline.errors import UserError
from schemas import LISTING

_DELIMITERS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
_SUFFIXES = (".parquet", *_DELIMITERS)
_ROWS_PER_BATCH = 2**15
_CSV_BLOCK_BYTES = 4 * 2**20

# One row per caption of the input, numbered so that the captions of an image keep their order.
_ROWS = pa.schema(
    [
        ("image_id", pa.string()),
        ("image", pa.string()),
        ("caption", pa.string()),
        ("number", pa.int64()),
    ]
)


class TableCaptions:
    """Images sorted by id, their captions in the order of the files (by name) and rows.

    The id is the text of the id column, or else the image column as it stands in the table. In CSV
    an empty field is an empty text.

    Problems, one row per row of the table: `null_image` (image null or empty), `null_id`,
    `null_caption` (null, an empty list, or a null in a list), `conflicting_image` (the id came
    before with another image), `relative_path` (a relative image name without `captions.images`).
    """

    def __init__(self, config: CaptionsConfig) -> None:
        self._files = matching_files(config.path, _SUFFIXES)
        kinds = {_suffix(file) == ".parquet" for file in self._files}
        if len(kinds) > 1:
            raise UserError(f"captions.path: {config.path} matches Parquet and text tables; name one kind")
        self._images = image_root(config.images)
        self._columns = {
            "image_id": ("captions.id_column", config.id_column),
            "image": ("captions.image_column", config.image_column),
            "caption": ("captions.caption_column", config.caption_column),
        }
        for file in self._files:
            with self._open(file):
                pass  # names and types of the columns are checked
        self._check_first_image()

    def batches(self) -> Iterator[pa.RecordBatch]:
        # Without an id column the image is the id, and is sorted and carried only once.
        has_ids = self._columns["image_id"][1] is not None
        schema = _ROWS if has_ids else _ROWS.remove(_ROWS.get_field_index("image"))
        rows = (self._row_batch(batch, schema) for batch in self._numbered())
        pending = None
        for batch in sort_batches(rows, schema, ["image_id", "number"]):
            table = pa.table({name: batch[name] for name in schema.names})
            if not has_ids:
                table = table.append_column("image", table["image_id"])
            if pending is not None:
                table = pa.concat_tables([pending, table.select(pending.column_names)])
            table = table.combine_chunks()
            # The last image may go on in the next batch.
            ids = table["image_id"]
            complete = pc.index(pc.equal(ids, ids[-1]), True).as_py()
            if ids[-1].as_py() == "":
                complete = len(table)  # these rows belong to no image and are not grouped
            pending = table.slice(complete)
            yield from self._group(table.slice(0, complete))
        if pending is not None:
            yield from self._group(pending)

    def _row_batch(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        columns = {name: batch[name] for name in batch.schema.names}
        # Null and "" mean the same for an id; as "" such rows come first, and need no second test.
        columns["image_id"] = pc.fill_null(columns.get("image_id", columns["image"]), "")
        return pa.record_batch([columns[name] for name in schema.names], schema=schema)

    def _group(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Listing rows from sorted rows that hold all captions of each of their images."""
        if not len(rows):
            return
        ids = rows["image_id"].combine_chunks()
        image = pc.fill_null(rows["image"].combine_chunks(), "")
        caption = rows["caption"].combine_chunks()
        starts = np.ones(len(rows), bool)
        starts[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        group = np.cumsum(starts) - 1

        problem = np.full(len(rows), None, object)
        problem[_flags(pc.is_null(caption))] = "null_caption"
        if self._images is None:
            problem[_flags(pc.invert(_is_absolute(image)))] = "relative_path"
        problem[_flags(pc.equal(ids, ""))] = "null_id"
        problem[_flags(pc.equal(image, ""))] = "null_image"
        # The first usable row of an image decides which image its id means.
        usable = np.flatnonzero(problem == None)  # noqa: E711 (elementwise)
        seen, first = np.unique(group[usable], return_index=True)
        decided = np.zeros(group[-1] + 1, np.int64)
        decided[seen] = usable[first]
        other = _flags(pc.not_equal(image, image.take(pa.array(decided[group]))))
        problem[usable[other[usable]]] = "conflicting_image"
        good = usable[~other[usable]]
        bad = np.flatnonzero(problem != None)  # noqa: E711

        captions_of_group = np.bincount(group[good], minlength=len(decided))[seen]
        listing = pa.concat_tables(
            [
                self._rows(ids, image, decided[seen], None, captions_of_group, caption.take(good)),
                self._rows(
                    ids,
                    image,
                    bad,
                    problem[bad],
                    _flags(pc.is_valid(caption))[bad].astype(np.int64),
                    caption.take(bad).drop_null(),
                ),
            ]
        )
        order = np.lexsort(
            (
                np.concatenate([decided[seen], bad]),
                np.concatenate([np.zeros(len(seen)), np.ones(len(bad))]),
                np.concatenate([seen, group[bad]]),
            )
        )
        yield from listing.take(order).combine_chunks().to_batches()

    def _rows(
        self,
        ids: pa.Array,
        image: pa.Array,
        rows: np.ndarray,
        problem: np.ndarray | None,
        caption_counts: np.ndarray,
        captions: pa.Array,
    ) -> pa.Table:
        offsets = np.concatenate([[0], np.cumsum(caption_counts)]).astype(np.int32)
        nothing = pa.nulls(len(rows))
        return pa.Table.from_arrays(
            [
                ids.take(rows),
                image_addresses(self._images, image.take(rows)),
                nothing.cast(pa.int64()),
                nothing.cast(pa.int64()),
                nothing.cast(pa.int32()),
                nothing.cast(pa.int32()),
                pa.ListArray.from_arrays(offsets, captions),
                nothing.cast(pa.string()) if problem is None else pa.array(problem, pa.string()),
            ],
            schema=LISTING,
        )

    def _check_first_image(self) -> None:
        """A forgotten `captions.images` is found at once, a single odd row only gets rejected."""
        for batch in self._read():
            names = [name for name in batch["image"].to_pylist() if name]
            if names and self._images is None and not _is_absolute(pa.array(names))[0].as_py():
                raise UserError(
                    f"captions.images: must be set, since {self._files[0]} names its images relatively ({names[0]!r})"
                )
            return

    def _numbered(self) -> Iterator[pa.RecordBatch]:
        number = 0
        for batch in self._read():
            yield batch.append_column("number", pa.array(np.arange(number, number + len(batch))))
            number += len(batch)

    def _read(self) -> Iterator[pa.RecordBatch]:
        """All rows of all files as text columns named as in `_ROWS`, one caption per row."""
        for file in self._files:
            with self._open(file) as batches:
                for batch in batches:
                    yield from _one_caption_per_row(
                        {name: batch[column] for name, (_, column) in self._columns.items() if column is not None}
                    )

    @contextlib.contextmanager
    def _open(self, file: str) -> Iterator[Iterator[pa.RecordBatch]]:
        """The record batches of one file, with at least the columns that are used."""
        wanted = list(dict.fromkeys(column for _, column in self._columns.values() if column))
        suffix = _suffix(file)
        with storage.open_input(file) as stream:
            try:
                if suffix == ".parquet":
                    parquet = pq.ParquetFile(stream, buffer_size=2**20)
                    self._check_columns(file, parquet.schema_arrow)
                    yield parquet.iter_batches(_ROWS_PER_BATCH, columns=wanted, use_threads=False)
                    return
                source = pa.PythonFile(stream, "r")
                if suffix.endswith(".gz"):
                    source = pa.CompressedInputStream(source, "gzip")
                reader = pyarrow.csv.open_csv(
                    source,
                    read_options=pyarrow.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False),
                    parse_options=pyarrow.csv.ParseOptions(delimiter=_DELIMITERS[suffix], newlines_in_values=True),
                    # Text only: a guessed type could differ from file to file.
                    convert_options=pyarrow.csv.ConvertOptions(column_types={column: pa.string() for column in wanted}),
                )
                self._check_columns(file, reader.schema)
                yield reader
            except (pa.ArrowInvalid, OSError) as error:
                # Arrow has an OSError without a number or a cause for a damaged file; storage's are another's.
                if isinstance(error, OSError) and (type(error) is not OSError or error.errno or error.__cause__):
                    raise
                raise UserError(f"captions.path: {file} cannot be read: {error}") from error

    def _check_columns(self, file: str, schema: pa.Schema) -> None:
        for name, (key, column) in self._columns.items():
            if column is None:
                continue
            if column not in schema.names:
                raise UserError(f"{key}: {file} has no column {column!r}; it has {', '.join(schema.names)}")
            kind = schema.field(column).type
            if name == "caption" and _is_list(kind):
                kind = kind.value_type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if not _is_text(kind) and not (name == "image_id" and pa.types.is_integer(kind)):
                raise UserError(f"{key}: column {column!r} of {file} is of type {kind}, not text")


def _one_caption_per_row(columns: dict[str, pa.Array]) -> Iterator[pa.RecordBatch]:
    caption = columns["caption"]
    if _is_list(caption.type):
        # A missing or empty list is kept as one missing caption, so that its image does not vanish.
        lengths = pc.fill_null(pc.list_value_length(caption), 0).to_numpy(zero_copy_only=False)
        repeats = np.maximum(lengths, 1)
        rows = np.repeat(np.arange(len(lengths)), repeats)
        present = np.repeat(lengths > 0, repeats)
        positions = np.full(len(rows), -1)
        positions[present] = np.arange(present.sum())
        columns = {name: array.take(rows) for name, array in columns.items() if name != "caption"}
        columns["caption"] = pc.list_flatten(caption).take(pa.array(positions, mask=~present))
    yield pa.record_batch({name: array.cast(pa.string()) for name, array in columns.items()})


def _suffix(file: str) -> str:
    name = file.lower()
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), ".parquet")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_absolute(names: pa.Array) -> pa.Array:
    return pc.or_(pc.match_substring(names, "://"), pc.starts_with(names, "/"))


def _flags(mask: pa.Array) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False)
