"""A temporary database for tables that need not fit into memory, and a file of run-length codes beside it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

_ROWS = 2**17
"""Rows of small tables that are put together before they go to the database."""
_THREADS = 2


@dataclass
class Workspace:
    """A database, and a folder for what does not belong in one."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    _waiting: dict[str, list[pa.Table]] = field(default_factory=dict)

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple]:
        """All rows of a statement."""
        return self.connection.execute(sql, list(values)).fetchall()

    def stream(self, sql: str) -> pa.RecordBatchReader:
        """The result of a query, a batch at a time; nothing else may be asked for until it ends."""
        return pa.RecordBatchReader.from_stream(self.connection.sql(sql))

    def insert(self, select: str, table: pa.Table) -> None:
        """Add rows, sooner or later; `flush` sees to it.

        Args:
            select: INSERT INTO …, with `added` as the table to select from.
        """
        waiting = self._waiting.setdefault(select, [])
        waiting.append(table)
        if sum(map(len, waiting)) >= _ROWS:
            self._write(select)

    def flush(self) -> None:
        """Add what waits."""
        for select in list(self._waiting):
            self._write(select)

    def _write(self, select: str) -> None:
        self.connection.register("added", pa.concat_tables(self._waiting.pop(select)))
        self.connection.execute(select)
        self.connection.unregister("added")


@contextmanager
def open_workspace(memory_mb: int) -> Iterator[Workspace]:
    """A workspace in a temporary folder, which goes with it.

    Args:
        memory_mb: that the database may hold, in 10⁶ bytes.
    """
    with tempfile.TemporaryDirectory(prefix="differences-") as folder:
        connection = duckdb.connect(
            str(Path(folder, "tables.duckdb")),
            config={
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": str(Path(folder, "spilled")),
                "threads": _THREADS,
                "preserve_insertion_order": False,
                "python_enable_replacements": False,
            },
        )
        try:
            yield Workspace(connection, Path(folder))
        finally:
            connection.close()


class CodeFile:
    """Run-length codes one after the other in a file: read at random, they take no memory."""

    def __init__(self, path: Path):
        self._path = path
        self._file = path.open("wb+")
        self._end = 0

    def append(self, codes: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Add a column of strings without nulls; returns where each begins and its length, int64 and int32, bytes."""
        starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for chunk in codes.chunks:
            _, offsets, data = chunk.cast(pa.string()).buffers()
            if data is None or not len(chunk):
                starts.append(np.full(len(chunk), self._end, np.int64))
                lengths.append(np.zeros(len(chunk), np.int32))
                continue
            bounds = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1].astype(np.int64)
            self._file.write(memoryview(data)[int(bounds[0]) : int(bounds[-1])])
            starts.append(self._end + bounds[:-1] - bounds[0])
            lengths.append(np.diff(bounds).astype(np.int32))
            self._end += int(bounds[-1] - bounds[0])
        return np.concatenate(starts), np.concatenate(lengths)

    def read(self, starts: np.ndarray, lengths: np.ndarray) -> list[bytes]:
        """Codes by where they begin and their lengths."""
        codes = []
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            if self._file.tell() != start:  # what follows the code before is in the buffer
                self._file.seek(start)
            codes.append(self._file.read(length))
        return codes

    def close(self) -> None:
        """Close the file."""
        self._file.close()
