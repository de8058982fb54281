"""JSON lines of a caption table, one object a line, and JSON files that are one list of objects."""

import json
import posixpath
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from pipeline.captions.carried import text_of
from pipeline.captions.text_table import Bytes, shown, text_lines
from pipeline.errors import UserError

_ROWS_PER_BATCH = 2**13
# The keys of so many rows are the columns of a table: of a row, those that are null are often left out.
_ROWS_LOOKED_AT = 1000

# Of a line its number, from 1, its object, empty for what is none, and what is wrong with it.
_Row = tuple[int, dict[str, Any], str | None]


class JsonTable:
    """One open file; see `TableFile`. Its columns are the keys of the first rows.

    Captions are texts or lists of texts, ids texts or numbers; what is carried is text, or JSON as text.
    """

    def __init__(self, stream: Bytes, file: str, lines: bool) -> None:
        """Read the first rows.

        Args:
            lines: an object a line; else a list of objects.

        Raises:
            UserError: none of the first rows is an object; without the name of the file.
        """
        self._file = file
        rows = _rows_of_lines(stream) if lines else _rows_of_list(stream)
        first = list(islice(rows, _ROWS_LOOKED_AT))
        self._rows = chain(first, rows)
        objects = [record for _, record, problem in first if problem != "bad_row"]
        if not objects:
            hint = " (a list of objects is read from .json)" if lines else ""
            raise UserError(f"none of its first {len(first)} lines is a JSON object{hint}" if first else "it is empty")
        self.names = list(dict.fromkeys(shown(key) for record in objects for key in record))
        self.types = [pa.string()] * len(self.names)

    def batches(self, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """See `TableFile`. An object with the problem "bad_caption" has a caption that is no text or list of texts."""
        while batch := list(islice(self._rows, _ROWS_PER_BATCH)):
            problems: list[str | None] = []
            values: dict[str, list[str | None]] = {name: [] for name in columns}
            for line, record, problem in batch:
                for name, column in columns.items():
                    value, wrong = _value(name, record.get(column))
                    if problem == "bad_row" and name in ("image", "image_id"):
                        value = f"{posixpath.basename(self._file)}:{line}"
                    if problem and name.startswith("caption"):
                        value = None
                    problem = problem or wrong
                    values[name].append(value)
                problems.append(problem)
            arrays = {name: pa.array(texts, pa.string()) for name, texts in values.items()}
            yield pa.record_batch(arrays | {"problem": pa.array(problems, pa.string())})


def _value(name: str, value: Any) -> tuple[str | None, str | None]:
    """A value as text, and what is wrong with it."""
    text = text_of(value)
    if text is None or isinstance(value, str):
        return text, None
    if name == "image":
        return None, "null_image"
    if name.startswith("caption") and not isinstance(value, list):
        return None, "bad_caption"
    return text, None


def _rows_of_lines(stream: Bytes) -> Iterator[_Row]:
    for number, line in enumerate(text_lines(stream), start=1):
        if line is not None and not line.strip():
            continue
        record = None if line is None else _object(line)
        if line is None or record is None:
            yield number, {}, "bad_row"
        else:
            yield number, record, None if shown(line) == line else "bad_text"


def _rows_of_list(stream: Bytes) -> Iterator[_Row]:
    data = stream.read()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"it is no JSON: {error}") from error
    if not isinstance(document, list):
        keys = ", ".join(map(repr, list(document)[:8])) if isinstance(document, dict) else type(document).__name__
        raise UserError(
            f"looked for is a list of objects, and it is {'an object with ' + keys if keys else 'empty'}; a file with "
            "'images' and 'annotations' is captions.format coco, one with 'images' that have 'sentences' karpathy"
        )
    return (
        (number, record, None) if isinstance(record, dict) else (number, {}, "bad_row")
        for number, record in enumerate(document, start=1)
    )


def _object(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key is there twice, and nobody can tell which value is meant")
    return record
