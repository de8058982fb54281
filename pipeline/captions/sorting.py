"""Sorting more rows than fit in memory: sorted runs on disk, merged block by block.

DuckDB's sort was tried first: it keeps its memory limit with short captions, and fails with
captions of a kilobyte, whatever the room on disk.
"""

import bisect
import errno
import itertools
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.errors import UserError

# Sorting a run takes about three times its size.
_RUN_BYTES = 2**24
_BLOCK_BYTES = 2**19
# Merging holds a block of every run, and its file open: systems allow 256 (macOS) or 1024 files. With more runs than
# these (4 GB of rows) some are merged into larger ones first.
_RUNS_AT_ONCE = 200

_Key = tuple[str | int, ...]


def sort_batches(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    order_by: list[str],
    run_bytes: int = _RUN_BYTES,
    runs_at_once: int = _RUNS_AT_ONCE,
) -> Iterator[pa.RecordBatch]:
    """The rows of all batches in ascending order (text by UTF-8 bytes), through a temporary folder.

    The columns `order_by` hold no nulls, and no two rows are equal in all of them.

    Args:
        run_bytes: how many rows are sorted in memory.
        runs_at_once: how many files of sorted rows are open at the same time, at least 2.

    Raises:
        UserError: the temporary folder has no room.
        Exception: whatever `batches` raises.
    """
    with tempfile.TemporaryDirectory(prefix="ovseg-sort-") as folder:
        paths = (Path(folder) / str(number) for number in itertools.count())
        runs: deque[Path] = deque()
        for rows in _in_runs(batches, schema, run_bytes):
            runs.append(next(paths))
            _write([_sorted(rows, order_by)], schema, runs[-1])
        # In passes, the shortest runs first.
        while len(runs) > runs_at_once:
            taken = [runs.popleft() for _ in range(min(runs_at_once, len(runs) - runs_at_once + 1))]
            runs.append(next(paths))
            _write(_tables(_merge(taken, order_by), schema), schema, runs[-1])
            for path in taken:
                path.unlink()
        yield from _merge(runs, order_by)


class _Run:
    """A sorted file, of which one block is in memory."""

    def __init__(self, path: Path, order_by: list[str]) -> None:
        self._blocks = iter(pa.ipc.open_stream(pa.OSFile(str(path))))
        self._order_by = order_by
        self._load(next(self._blocks))
        self.finished = False

    def take_until(self, last: _Key) -> pa.RecordBatch:
        """Remove and return the rows of this block whose key is not above `last`."""
        count = bisect.bisect_right(range(len(self._block)), last, key=self._key)
        taken = self._block[:count]
        rest = self._block[count:] if count < len(self._block) else next(self._blocks, None)
        if rest is None:
            self.finished = True
        else:
            self._load(rest)
        return taken

    def _load(self, block: pa.RecordBatch) -> None:
        self._block = block
        self.first, self.last = self._key(0), self._key(len(block) - 1)

    def _key(self, row: int) -> _Key:
        return tuple(self._block[name][row].as_py() for name in self._order_by)


def _merge(paths: Iterable[Path], order_by: list[str]) -> Iterator[pa.RecordBatch]:
    runs = [_Run(path, order_by) for path in paths]
    while runs:
        # Every row up to here is in memory: what a run still has on disk is above its own block.
        last = min(run.last for run in runs)
        parts = [run.take_until(last) for run in runs if run.first <= last]
        yield from _sorted(pa.Table.from_batches(parts), order_by).to_batches()
        runs = [run for run in runs if not run.finished]


def _in_runs(batches: Iterable[pa.RecordBatch], schema: pa.Schema, run_bytes: int) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= run_bytes:
            yield pa.Table.from_batches(waiting, schema)
            waiting, size = [], 0
    if any(len(batch) for batch in waiting):
        yield pa.Table.from_batches(waiting, schema)


def _sorted(rows: pa.Table, order_by: list[str]) -> pa.Table:
    ordered = rows.combine_chunks().sort_by([(name, "ascending") for name in order_by])
    return ordered.combine_chunks()


def _tables(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Merged rows in tables of a few blocks: written one by one, the small batches of a merge would stay small."""
    return _in_runs(batches, schema, 8 * _BLOCK_BYTES)


def _write(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    try:
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_stream(file, schema, options=options) as writer,
        ):
            for rows in tables:
                blocks = rows.combine_chunks()
                writer.write_table(blocks, max_chunksize=max(1, len(rows) * _BLOCK_BYTES // max(1, rows.nbytes)))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(f"no room to sort the captions in {path.parent}; set TMPDIR to a larger disk") from error
