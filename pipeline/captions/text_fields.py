"""CSV and TSV files of a caption table."""

import posixpath
from collections.abc import Iterator

import pyarrow as pa

from pipeline.captions.text_table import Bytes, TextTable, in_batches, shown

_ROWS_PER_BATCH = 2**15


class TextFields:
    """One open file; see `TableFile`."""

    def __init__(self, stream: Bytes, file: str, delimiter: str | None, names: list[str] | None) -> None:
        """Read the header; args and errors as of `TextTable`."""
        self._table = TextTable(stream, delimiter, names)
        self._file = file
        self.has_header = self._table.has_header
        self.names = self._table.names
        self.types = [pa.string()] * len(self.names)

    def batches(self, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """See `TableFile`. Where bytes are no UTF-8, the row has the problem "bad_text" and no caption."""
        indices = {name: self.names.index(column) for name, column in columns.items()}
        for batch in in_batches(self._table.rows(indices["image"]), _ROWS_PER_BATCH):
            problems: list[str | None] = [None] * len(batch)
            values: dict[str, list] = {name: [] for name in indices}
            for row, (line, fields) in enumerate(batch):
                if fields is None:
                    problems[row] = "bad_row"
                    label = f"{posixpath.basename(self._file)}:{line}"
                for name, index in indices.items():
                    known = label if fields is None and name in ("image", "image_id") else None
                    values[name].append(fields[index] if fields else known)
            yield text_batch(values, problems)


def text_batch(values: dict[str, list[str | None]], problems: list[str | None]) -> pa.RecordBatch:
    """Columns of texts with `problem`. Rows with bytes that are no UTF-8 (surrogates) get "bad_text", and no caption.

    Args:
        problems: what is wrong with a row already.
    """
    try:
        arrays = {name: pa.array(texts, pa.string()) for name, texts in values.items()}
    except UnicodeEncodeError:
        for row in range(len(problems)):
            fields = [texts[row] for texts in values.values()]
            if any(field is not None and shown(field) != field for field in fields):
                problems[row] = "bad_text"
                values["caption"][row] = None
        arrays = {
            name: pa.array([text if text is None else shown(text) for text in texts], pa.string())
            for name, texts in values.items()
        }
    return pa.record_batch(arrays | {"problem": pa.array(problems, pa.string())})
