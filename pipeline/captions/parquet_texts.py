"""Columns of Parquet tables as text or lists of text, whatever their type is called, and known to be UTF-8."""

from collections.abc import Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts, or all of them missing: a column without any value has the type null."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view() or kind == pa.null()


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists, of any length or all of one."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def checked(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """The columns, in plain types. Where a row holds bytes that are no UTF-8, which neither Parquet nor Arrow forbids,
    there is also `problem`, "bad_text" for these rows, which have no caption then.
    """
    columns = {name: _plain(array) for name, array in columns.items()}
    try:
        for array in columns.values():
            array.validate(full=True)
    except pa.ArrowInvalid:
        return _marked(columns)
    return pa.record_batch(columns)


def _plain(array: pa.Array) -> pa.Array:
    if is_list(array.type):
        value = pa.string() if array.type.value_type == pa.null() else array.type.value_type
        if pa.types.is_fixed_size_list(array.type) or value != array.type.value_type:
            return array.cast(pa.list_(value))
    return array.cast(pa.string()) if array.type == pa.null() else array


def _marked(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    arrays = {}
    bad: set[int] = set()
    for name, array in columns.items():
        if not (is_text(array.type) or is_list(array.type)):
            arrays[name] = array  # numbers
            continue
        values = _bytes(array)
        bad.update(row for row, value in enumerate(values) if not _is_utf8(value))
        arrays[name] = pa.array(map(_shown, values), pa.list_(pa.string()) if is_list(array.type) else pa.string())
    problems = pa.array(["bad_text" if row in bad else None for row in range(len(array))], pa.string())
    arrays["caption"] = pc.if_else(pc.is_null(problems), arrays["caption"], pa.scalar(None, arrays["caption"].type))
    return pa.record_batch(arrays | {"problem": problems})


def _bytes(array: pa.Array) -> Sequence[bytes | list[bytes | None] | None]:
    if not is_list(array.type):
        return _flat_bytes(array)
    values = iter(_flat_bytes(array.flatten()))
    lengths = pc.list_value_length(array).to_pylist()
    return [None if length is None else list(islice(values, length)) for length in lengths]


def _flat_bytes(array: pa.Array) -> list[bytes | None]:
    if pa.types.is_dictionary(array.type):
        return array.dictionary.cast(pa.binary()).take(array.indices).to_pylist()
    return array.cast(pa.binary()).to_pylist()


def _is_utf8(value: bytes | list[bytes | None] | None) -> bool:
    if isinstance(value, list):
        return all(map(_is_utf8, value))
    return value is None or value.decode(errors="replace").encode() == value


def _shown(value: bytes | list[bytes | None] | None) -> str | list[str | None] | None:
    return [_shown_text(text) for text in value] if isinstance(value, list) else _shown_text(value)


def _shown_text(text: bytes | None) -> str | None:
    return None if text is None else text.decode(errors="replace")
