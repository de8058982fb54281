"""From rows with a caption each to listing rows with an image each, by sorting."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captions.addresses import all_redacted, refusals
from pipeline.captions.sorting import sort_batches
from pipeline.captions.source import image_addresses
from schemas import LISTING, with_kept

ROWS = pa.schema(
    [
        ("image_id", pa.string()),  # "" where a row has none
        ("image", pa.string()),  # null where it is the id
        ("caption", pa.string()),
        ("problem", pa.string()),
        ("address", pa.string()),  # of a picture in the table itself
    ]
)
"""A row per caption, or one for an image without any. Rows may have `kept` besides, a struct."""

# Rows are numbered so that the captions of an image keep their order.
_NUMBER = pa.field("number", pa.int64())


def grouped(
    batches: Iterable[pa.RecordBatch], images: str | None, kept: Sequence[pa.Field]
) -> Iterator[pa.RecordBatch]:
    """Batches of the listing, sorted by id through files on the local disk; what cannot be used follows its image.

    Problems beside those that rows have: `null_image` (empty), `null_id`, `null_caption`, `conflicting_image` (the id
    came before with another image), `relative_path` (a relative image name without a root), and those of `addresses`.

    Args:
        batches: of `ROWS`, perhaps with `kept`.
        images: root of relative names; see `image_root`.
        kept: the fields of `kept`; of an image, those of its first usable row.
    """
    rows = pa.schema([*ROWS, *([pa.field("kept", pa.struct(kept))] if kept else []), _NUMBER])
    pending = None
    for batch in sort_batches(_numbered(batches, rows), rows, ["image_id", "number"]):
        table = pa.Table.from_batches([batch]).select(rows.names)
        if pending is not None:
            table = pa.concat_tables([pending, table])
        table = table.combine_chunks()
        # The last image may go on in the next batch.
        ids = table["image_id"]
        complete = pc.index(pc.equal(ids, ids[-1]), True).as_py()
        if ids[-1].as_py() == "":
            complete = len(table)  # these rows belong to no image and are not grouped
        pending = table.slice(complete)
        yield from _group(table.slice(0, complete), images, kept)
    if pending is not None:
        yield from _group(pending, images, kept)


def is_absolute(names: pa.Array) -> pa.Array:
    """`is_absolute_name` of every name, bool [n]."""
    return pc.or_(pc.match_substring(names, "://"), pc.starts_with(names, "/"))


def flags(mask: pa.Array) -> np.ndarray:
    """An Arrow array of truth values without nulls, bool [n]."""
    return mask.to_numpy(zero_copy_only=False)


def _numbered(batches: Iterable[pa.RecordBatch], rows: pa.Schema) -> Iterator[pa.RecordBatch]:
    number = 0
    for batch in batches:
        numbers = pa.array(np.arange(number, number + len(batch)))
        yield batch.append_column(_NUMBER, numbers).select(rows.names)
        number += len(batch)


def _group(rows: pa.Table, images: str | None, kept: Sequence[pa.Field]) -> Iterator[pa.RecordBatch]:
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
    in_table = flags(pc.is_valid(address))
    problem[flags(pc.is_null(caption))] = "null_caption"
    if images is None:
        problem[flags(pc.invert(is_absolute(image))) & ~in_table] = "relative_path"
    refused = refusals(image)
    rejected = flags(pc.is_valid(refused)) & ~in_table
    problem[rejected] = np.array(refused.to_pylist(), object)[rejected]
    problem[flags(pc.equal(ids, ""))] = "null_id"
    problem[flags(pc.equal(image, ""))] = "null_image"
    unread = flags(pc.is_valid(given))
    problem[unread] = np.array(given.to_pylist(), object)[unread]
    # The first usable row of an image decides which image its id means.
    usable = np.flatnonzero(problem == None)  # noqa: E711 (elementwise)
    seen, first = np.unique(group[usable], return_index=True)
    decided = np.zeros(group[-1] + 1, np.int64)
    decided[seen] = usable[first]
    other = flags(pc.not_equal(image, image.take(pa.array(decided[group]))))
    problem[usable[other[usable]]] = "conflicting_image"
    good = usable[~other[usable]]
    bad = np.flatnonzero(problem != None)  # noqa: E711

    uris = pc.coalesce(address, image_addresses(images, image))
    if rejected.any():
        uris = pc.if_else(pa.array(rejected), all_redacted(uris), uris)
    uris = pc.if_else(pa.array(problem == "bad_row"), "", uris)
    carried = rows["kept"].combine_chunks() if kept else None
    captions_of_group = np.bincount(group[good], minlength=len(decided))[seen]
    listing = pa.concat_tables(
        [
            _listing(ids, uris, decided[seen], None, captions_of_group, caption.take(good), carried),
            _listing(
                ids,
                uris,
                bad,
                problem[bad],
                flags(pc.is_valid(caption))[bad].astype(np.int64),
                caption.take(bad).drop_null(),
                carried,
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


def _listing(
    ids: pa.Array,
    uris: pa.Array,
    rows: np.ndarray,
    problem: np.ndarray | None,
    caption_counts: np.ndarray,
    captions: pa.Array,
    kept: pa.StructArray | None,
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
            *([] if kept is None else [kept.take(pa.array(rows))]),
        ],
        schema=LISTING if kept is None else with_kept(LISTING, list(kept.type)),
    )
