"""Parquet, CSV and TSV tables with a column of images and a column of captions."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captions.addresses import all_redacted, refusals
from pipeline.captions.caption_lists import LIST_LIKE, captions_in
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.sorting import sort_batches
from pipeline.captions.source import image_addresses, image_root
from pipeline.captions.table_files import FOLDER_SUFFIXES, NAMED_SUFFIXES, open_table, suffix_of
from pipeline.captions.text_table import shown
from pipeline.errors import UserError
from pipeline.storage.common_folder import common_folder, parts, relative
from pipeline.storage.patterns import matching_files
from schemas import LISTING

# One row per caption of the input, numbered so that the captions of an image keep their order.
_ROWS = pa.schema(
    [
        ("image_id", pa.string()),
        ("image", pa.string()),  # null where it is the id
        ("caption", pa.string()),
        ("number", pa.int64()),
        ("problem", pa.string()),
        ("address", pa.string()),  # the address of a picture in the table itself
    ]
)


class TableCaptions:
    """Images sorted by id, their captions in the order of the files (by name) and rows.

    The id is the text of the id column, or else the image column as it stands in the table (without the secrets that a
    URL may hold), or else, for a picture in the table itself, FILE/ROW. In CSV and TSV an empty field is an empty text.
    A caption that is a list as text (`["a", "b"]`) is the captions of the list.

    Problems, one row per row of the table: `bad_row` (a row of a text table that cannot be read; its id is FILE:LINE),
    `bad_text` (not UTF-8), `null_image` (image null or empty), `null_id`, `null_caption` (null, an empty list, or a
    null in a list), `bad_caption` (JSON, but no text or list of texts), `conflicting_image` (the id came before with
    another image), `relative_path` (a relative image name without `captions.images`), and those of `addresses`.
    """

    def __init__(self, config: CaptionsConfig) -> None:
        self._files = matching_files(config.path, FOLDER_SUFFIXES, named_suffixes=NAMED_SUFFIXES)
        if unprintable := [file for file in self._files if shown(file) != file]:
            raise UserError(f"captions.path: the name of {shown(unprintable[0])!r} is not UTF-8; rename the file")
        kinds = {suffix_of(file) == ".parquet" for file in self._files}
        if len(kinds) > 1:
            raise UserError(f"captions.path: {config.path} matches Parquet and text tables; name one kind")
        if config.columns is not None and kinds == {True}:
            raise UserError("captions.columns: names the columns of text tables; those of Parquet have names already")
        self._names = config.columns
        self._images = image_root(config.images)
        self._columns = {
            "image_id": ("captions.id_column", config.id_column),
            "image": ("captions.image_column", config.image_column),
            "caption": ("captions.caption_column", config.caption_column),
        }
        for file in self._files:
            with open_table(file, self._columns, self._names):
                pass  # names and types of the columns are checked
        self._check_first_rows()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, sorted through files on the local disk; what cannot be used follows its image."""
        pending = None
        for batch in sort_batches(self._numbered(), _ROWS, ["image_id", "number"]):
            table = pa.Table.from_batches([batch]).select(_ROWS.names)
            if pending is not None:
                table = pa.concat_tables([pending, table])
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

    def _group(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Listing rows from sorted rows that hold all captions of each of their images."""
        if not len(rows):
            return
        ids, image, caption, address, given = (
            rows[name].combine_chunks() for name in ("image_id", "image", "caption", "address", "problem")
        )
        image = pc.coalesce(image, ids)
        starts = np.ones(len(rows), bool)
        starts[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        group = np.cumsum(starts) - 1

        problem = np.full(len(rows), None, object)
        in_table = _flags(pc.is_valid(address))
        problem[_flags(pc.is_null(caption))] = "null_caption"
        if self._images is None:
            problem[_flags(pc.invert(_is_absolute(image))) & ~in_table] = "relative_path"
        refused = refusals(image)
        rejected = _flags(pc.is_valid(refused)) & ~in_table
        problem[rejected] = np.array(refused.to_pylist(), object)[rejected]
        problem[_flags(pc.equal(ids, ""))] = "null_id"
        problem[_flags(pc.equal(image, ""))] = "null_image"
        unread = _flags(pc.is_valid(given))
        problem[unread] = np.array(given.to_pylist(), object)[unread]
        # The first usable row of an image decides which image its id means.
        usable = np.flatnonzero(problem == None)  # noqa: E711 (elementwise)
        seen, first = np.unique(group[usable], return_index=True)
        decided = np.zeros(group[-1] + 1, np.int64)
        decided[seen] = usable[first]
        other = _flags(pc.not_equal(image, image.take(pa.array(decided[group]))))
        problem[usable[other[usable]]] = "conflicting_image"
        good = usable[~other[usable]]
        bad = np.flatnonzero(problem != None)  # noqa: E711

        uris = pc.coalesce(address, image_addresses(self._images, image))
        if rejected.any():
            uris = pc.if_else(pa.array(rejected), all_redacted(uris), uris)
        uris = pc.if_else(pa.array(problem == "bad_row"), "", uris)
        captions_of_group = np.bincount(group[good], minlength=len(decided))[seen]
        listing = pa.concat_tables(
            [
                _listing(ids, uris, decided[seen], None, captions_of_group, caption.take(good)),
                _listing(
                    ids,
                    uris,
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

    def _check_first_rows(self) -> None:
        """A forgotten `captions.images` or a wrong delimiter is found at once, a single odd row only gets rejected."""
        batch = next(self._read(), None)
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
        if names and self._images is None and not _is_absolute(pa.array(names))[0].as_py():
            raise UserError(
                f"captions.images: must be set, since {self._files[0]} names its images relatively ({names[0]!r})"
            )

    def _numbered(self) -> Iterator[pa.RecordBatch]:
        number = 0
        for batch in self._read():
            numbers = pa.array(np.arange(number, number + len(batch)))
            yield batch.append_column("number", numbers).select(_ROWS.names)
            number += len(batch)

    def _read(self) -> Iterator[pa.RecordBatch]:
        """All rows of all files, one caption per row, columns of `_ROWS` without the number."""
        folder = common_folder(parts(file)[:-1] for file in self._files)
        for file in self._files:
            name = relative(file, folder)
            if name.lower().endswith(suffix_of(file)):
                name = name[: -len(suffix_of(file))]
            first = 0
            with open_table(file, self._columns, self._names) as batches:
                for batch in batches:
                    columns = {column: batch[column] for column in batch.schema.names}
                    yield _one_caption_per_row(_identified(columns, name, first))
                    first += len(batch)


def _identified(columns: dict[str, pa.Array], file: str, first: int) -> dict[str, pa.Array]:
    """The columns of `_ROWS`, but for the number, with an id in every row ("" if it has none)."""
    image = columns["image"].cast(pa.string())
    count = len(image)
    nothing = pa.nulls(count, pa.string())
    address = columns.get("address", nothing)
    if "image_id" in columns:
        ids = pc.fill_null(columns["image_id"].cast(pa.string()), "")
        image = pc.fill_null(image, "")
        # Of pictures in the table without a path the id alone says which are the same.
        image = pc.if_else(pc.and_(pc.is_valid(address), pc.equal(image, "")), "the table's", image)
    else:
        rows = (
            pa.array([f"{file}/{number:09d}" for number in range(first, first + count)]) if "address" in columns else ""
        )
        ids = pc.if_else(pc.is_valid(address), rows, all_redacted(pc.fill_null(image, "")))
        image = pc.if_else(pc.or_(pc.is_valid(address), pc.equal(ids, pc.fill_null(image, ""))), nothing, image)
    return {
        "image_id": ids,
        "image": image,
        "caption": columns["caption"],
        "problem": columns.get("problem", nothing),
        "address": address,
    }


def _one_caption_per_row(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    if not _is_list(columns["caption"].type):
        columns = _lists_in_texts(columns)
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
    return pa.record_batch({name: array.cast(pa.string()) for name, array in columns.items()})


def _lists_in_texts(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns with lists of captions, if some captions are lists as text."""
    caption = columns["caption"].cast(pa.string())
    perhaps = _flags(pc.fill_null(pc.match_substring_regex(caption, LIST_LIKE), False))
    if not perhaps.any():
        return columns
    texts = caption.to_pylist()
    captions: list[list[str | None]] = [[text] for text in texts]
    problems = columns["problem"].to_pylist()
    for row in np.flatnonzero(perhaps):
        try:
            found = captions_in(texts[row])
        except ValueError:
            captions[row], problems[row] = [None], problems[row] or "bad_caption"
            continue
        captions[row] = captions[row] if found is None else found
    return columns | {
        "caption": pa.array(captions, pa.list_(pa.string())),
        "problem": pa.array(problems, pa.string()),
    }


def _listing(
    ids: pa.Array,
    uris: pa.Array,
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
            uris.take(rows),
            nothing.cast(pa.int64()),
            nothing.cast(pa.int64()),
            nothing.cast(pa.int32()),
            nothing.cast(pa.int32()),
            pa.ListArray.from_arrays(offsets, captions),
            nothing.cast(pa.string()) if problem is None else pa.array(problem, pa.string()),
        ],
        schema=LISTING,
    )


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_absolute(names: pa.Array) -> pa.Array:
    return pc.or_(pc.match_substring(names, "://"), pc.starts_with(names, "/"))


def _flags(mask: pa.Array) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False)
