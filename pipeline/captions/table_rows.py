"""Rows of a table as they come from its files, made into those of `grouping.ROWS`."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captions.addresses import all_redacted
from pipeline.captions.caption_lists import LIST_LIKE, captions_in
from pipeline.captions.grouping import ROWS, flags
from pipeline.captions.parquet_texts import is_list

FURTHER = "caption {}"
"""What the columns of `captions.caption_columns` after the first are called, with their numbers from 1."""


def identified(columns: dict[str, pa.Array], file: str, first: int) -> dict[str, pa.Array]:
    """The columns of `ROWS`, with an id in every row ("" if it has none); captions may still be lists.

    Args:
        file: what the file is called among the others, without its suffix.
        first: the number of the first row in it.
    """
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
        **{name: columns[name] for name in columns if name.startswith(FURTHER.format(""))},
        "problem": columns.get("problem", nothing),
        "address": address,
    }


def one_caption_per_row(columns: dict[str, pa.Array], several: bool, kept: pa.Array | None) -> pa.RecordBatch:
    """Rows of `ROWS` from the columns that `identified` returns.

    Args:
        several: captions are in several columns (or in one of `captions.caption_columns`).
        kept: struct [n], which goes along.
    """
    if several:
        further = [name for name in columns if name.startswith(FURTHER.format(""))]
        columns = _captions_of_columns(columns, ["caption", *further])
    elif not is_list(columns["caption"].type):
        columns = _lists_in_texts(columns)
    caption = columns["caption"]
    if is_list(caption.type):
        # A missing or empty list is kept as one missing caption, so that its image does not vanish.
        lengths = pc.fill_null(pc.list_value_length(caption), 0).to_numpy(zero_copy_only=False)
        repeats = np.maximum(lengths, 1)
        rows = np.repeat(np.arange(len(lengths)), repeats)
        present = np.repeat(lengths > 0, repeats)
        positions = np.full(len(rows), -1)
        positions[present] = np.arange(present.sum())
        columns = {name: array.take(rows) for name, array in columns.items() if name != "caption"}
        columns["caption"] = pc.list_flatten(caption).take(pa.array(positions, mask=~present))
        kept = None if kept is None else kept.take(pa.array(rows))
    arrays = {name: columns[name].cast(pa.string()) for name in ROWS.names}
    return pa.record_batch(arrays | ({} if kept is None else {"kept": kept}))


def _captions_of_columns(columns: dict[str, pa.Array], names: list[str]) -> dict[str, pa.Array]:
    """The columns with a list of the captions of several; those that are empty are left out."""
    problems = columns["problem"].to_pylist()
    captions: list[list[str] | None] = []
    for row, values in enumerate(zip(*(columns[name].to_pylist() for name in names), strict=True)):
        try:
            found = [text for value in values for text in _texts(value) if text is not None and text.strip()]
        except ValueError:
            found, problems[row] = [], problems[row] or "bad_caption"
        captions.append(None if problems[row] else found)
    return {name: array for name, array in columns.items() if name not in names} | {
        "caption": pa.array(captions, pa.list_(pa.string())),
        "problem": pa.array(problems, pa.string()),
    }


def _texts(value: str | list[str | None] | None) -> list[str | None]:
    if isinstance(value, str):
        found = captions_in(value)
        return [value] if found is None else found
    return value or []


def _lists_in_texts(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns with lists of captions, if some captions are lists as text."""
    caption = columns["caption"].cast(pa.string())
    perhaps = flags(pc.fill_null(pc.match_substring_regex(caption, LIST_LIKE), False))
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
