"""Pictures inside Parquet tables, as Hugging Face `datasets` keeps them: a column of bytes, or of bytes and paths.

Listing reads no pictures where the file's statistics say which are null; reading goes through a row group from front to
end, as the rows of a shard do.
"""

import contextlib
import errno
import threading
from collections import deque
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.captions.picture_addresses import Place, addresses_of, bytes_of, damage_as_arrows, place_of, whole

_ROWS_PER_BATCH = 2**15
# Pictures in memory at once: those of this many batches, each of which has about so many bytes.
_BATCHES_KEPT = 3
_BATCH_BYTES = 16 * 2**20
_LEAST_ROWS, _MOST_ROWS = 16, 64


def addresses(parquet: pq.ParquetFile, file: str, column: str, others: dict[str, str]) -> Iterator[dict[str, pa.Array]]:
    """Batches of columns: `image` (text, the path that a picture has beside its bytes, or null), `address` (text, the
    picture's address, null where there are no bytes) and the others.

    Args:
        column: with the pictures.
        others: what further columns are called here and, after it, in the file.
    """
    kind = parquet.schema_arrow.field(column).type
    is_struct = pa.types.is_struct(kind)
    has_path = is_struct and "path" in [field.name for field in kind]
    leaf = f"{column}.bytes" if is_struct else column
    for group in range(parquet.num_row_groups):
        all_there = _all_have_bytes(parquet, group, leaf)
        wanted = [*others.values(), *([f"{column}.path"] if has_path else []), *([leaf] if all_there is None else [])]
        rows = _ROWS_PER_BATCH if all_there is not None else _rows_per_batch(parquet, group, leaf)
        first = 0
        for batch in parquet.iter_batches(rows, row_groups=[group], columns=wanted, use_threads=False):
            count = len(batch)
            there = pc.is_valid(bytes_of(batch[column])) if all_there is None else pa.repeat(all_there, count)
            path = (
                pc.struct_field(batch[column], "path").cast(pa.string()) if has_path else pa.nulls(count, pa.string())
            )
            pictures = addresses_of(Place("parquet", column, group, first, file), count)
            yield {name: batch[inner] for name, inner in others.items()} | {
                "image": path,
                "address": pc.if_else(there, pictures, pa.scalar(None, pa.string())),
            }
            first += count


def read_parquet_image(image_uri: str, max_bytes: int | None = None) -> bytes:
    """The encoded picture at an address that `addresses` made.

    Raises:
        ImageProblem: `refused_address`, `secret_in_address`; `too_many_bytes` (more than `max_bytes`).
        FileNotFoundError: the file, the row or its bytes are not there any more.
        pa.ArrowInvalid: the table is damaged.
        OSError: storage is broken, unreachable or forbidden.
    """
    place = place_of(image_uri)
    with damage_as_arrows(place.file):
        picture = _reader.read(place.file, place.column, place.part, place.row)
    return whole(picture, image_uri, max_bytes)


class _Reader:
    """The row group that was read last, open, with the pictures around the last one.

    Threads that read neighbouring rows share it, so a row group is gone through once and not once for each picture.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._group: tuple[str, str, int] | None = None
        self._open = contextlib.ExitStack()
        self._batches: Iterator[pa.Array] = iter(())
        self._kept: deque[tuple[int, pa.Array]] = deque(maxlen=_BATCHES_KEPT)

    def read(self, file: str, column: str, group: int, row: int) -> pa.Scalar | None:
        """The picture, null if it has no bytes; None if the row group has no such row."""
        with self._lock:
            try:
                if self._group != (file, column, group) or (self._kept and row < self._kept[0][0]):
                    self._begin(file, column, group)
                while not self._kept or row >= self._kept[-1][0] + len(self._kept[-1][1]):
                    start = self._kept[-1][0] + len(self._kept[-1][1]) if self._kept else 0
                    batch = next(self._batches, None)
                    if batch is None:
                        self._close()
                        return None
                    self._kept.append((start, batch))
                start, batch = next((start, batch) for start, batch in self._kept if start <= row < start + len(batch))
                return batch[row - start]
            except Exception:
                self._close()
                raise

    def _begin(self, file: str, column: str, group: int) -> None:
        self._close()
        stream = self._open.enter_context(storage.open_input(file))
        # With a buffer a column is read a piece at a time, however large its row group is.
        parquet = pq.ParquetFile(stream, buffer_size=2**20)
        if group >= parquet.num_row_groups or column not in parquet.schema_arrow.names:
            raise FileNotFoundError(errno.ENOENT, "the table has no such row group or column any more", file)
        kind = parquet.schema_arrow.field(column).type
        is_struct = pa.types.is_struct(kind)
        leaf = f"{column}.bytes" if is_struct else column
        rows = _rows_per_batch(parquet, group, leaf)
        batches = parquet.iter_batches(rows, row_groups=[group], columns=[leaf], use_threads=False)
        self._batches = (bytes_of(batch[column]) for batch in batches)
        self._group = (file, column, group)

    def _close(self) -> None:
        self._group, self._batches = None, iter(())
        self._kept.clear()
        self._open.close()


_reader = _Reader()


def _chunk(parquet: pq.ParquetFile, group: int, leaf: str) -> pq.ColumnChunkMetaData | None:
    metadata = parquet.metadata.row_group(group)
    chunks = (metadata.column(index) for index in range(metadata.num_columns))
    return next((chunk for chunk in chunks if chunk.path_in_schema == leaf), None)


def _all_have_bytes(parquet: pq.ParquetFile, group: int, leaf: str) -> bool | None:
    """Whether all rows of a row group have bytes (True) or none (False), by its statistics; None: not known."""
    chunk = _chunk(parquet, group, leaf)
    statistics = chunk.statistics if chunk is not None else None
    if statistics is None or not statistics.has_null_count:
        return None
    rows = parquet.metadata.row_group(group).num_rows
    return {0: True, rows: False}.get(statistics.null_count)


def _rows_per_batch(parquet: pq.ParquetFile, group: int, leaf: str) -> int:
    chunk = _chunk(parquet, group, leaf)
    rows = parquet.metadata.row_group(group).num_rows
    if chunk is None or not rows:
        return _LEAST_ROWS
    # Not more, as a picture that is repeated takes its room only once in the file.
    return min(_MOST_ROWS, max(_LEAST_ROWS, _BATCH_BYTES * rows // max(1, chunk.total_uncompressed_size)))
