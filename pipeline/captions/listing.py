"""The listing: all rows of a source, cut into shards, as Parquet files that workers read by range.

    OUTPUT/listing/000000.parquet   64 row groups, each of them exactly one shard
    OUTPUT/listing/000001.parquet   the next 64 …

It is written before anything else runs. From then on the content of every shard is fixed, and a
worker needs nothing but the number of the shard.
"""

import errno
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.captions.source import CaptionSource
from pipeline.dataset.layout import shard_of
from schemas import LISTING, with_kept

SHARDS_PER_FILE = 64


@dataclass(frozen=True)
class Listing:
    """Totals of a listing, and its identity."""

    images: int
    """Rows, those with a problem included."""

    captions: int
    """Captions of all rows."""

    shards: int
    """Rows divided by the images per shard, rounded up."""

    sha256: str
    """Over the values of all rows in order; independent of batches, shards and files."""

    dropped: int | None = field(default=None, compare=False)
    """Rows of the source that `captions.where` dropped; None without it, and where it is not known."""

    def described(self) -> dict[str, int | str]:
        """As `config.yaml` has it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def write_listing(source: CaptionSource, output_uri: str, images_per_shard: int, limit: int | None = None) -> Listing:
    """Write the first `limit` rows (all if None) of a source under `output_uri`/listing.

    Files of an earlier, longer listing are removed. Memory is bounded by one file of shards.

    Raises:
        UserError, OSError: from the source or from writing.
    """
    folder = storage.join(output_uri, "listing")
    totals = _Totals()
    shards = _shards(totals.counted(_limited(source.batches(), limit)), images_per_shard)
    written: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ovseg-listing-") as temporary:
        local = Path(temporary) / "listing.parquet"
        # A first file always exists: an empty source has a listing without rows.
        shard = next(shards, None)
        while shard is not None or not written:
            schema = LISTING if shard is None else shard.schema
            with pq.ParquetWriter(local, schema, compression="zstd", write_page_checksum=True) as writer:
                for _ in range(SHARDS_PER_FILE):
                    if shard is None:
                        break
                    writer.write_table(shard, row_group_size=len(shard))
                    shard = next(shards, None)
            name = _file_name(len(written))
            storage.upload(local, storage.join(folder, name))
            written.append(name)
    for name in set(storage.list_names(folder)) - set(written):
        if shard_of("listing", name) is not None:
            storage.remove(storage.join(folder, name))
    return replace(totals.listing(images_per_shard), dropped=source.dropped)


def measure_listing(source: CaptionSource, images_per_shard: int, limit: int | None = None) -> Listing:
    """What `write_listing` would return, without writing: to plan, or to see a changed source."""
    totals = _Totals()
    for _ in totals.counted(_limited(source.batches(), limit)):
        pass
    return replace(totals.listing(images_per_shard), dropped=source.dropped)


def read_shard(output_uri: str, shard: int) -> pa.Table:
    """The rows of one shard, schema `LISTING` (perhaps with `kept`), fetched by byte range.

    Raises:
        IndexError: the listing has no such shard.
        FileNotFoundError, OSError: as `storage.read_bytes`.
    """
    file, group = divmod(shard, SHARDS_PER_FILE)
    with storage.open_input(storage.join(output_uri, "listing", _file_name(file))) as stream:
        parquet = pq.ParquetFile(stream, pre_buffer=True, page_checksum_verification=True)
        if group >= parquet.num_row_groups:
            raise IndexError(f"the listing of {output_uri} has no shard {shard}")
        return _as_listing(parquet.read_row_group(group, use_threads=False))


def stored_listing(output_uri: str, images_per_shard: int) -> Listing:
    """What the files of a listing hold, measured again: equal to what `write_listing` returned if nothing changed.

    Raises:
        FileNotFoundError: there is none.
        pa.ArrowException, ValueError: a file is damaged.
        OSError: storage is broken or unreachable.
    """
    folder = storage.join(output_uri, "listing")
    names = [name for name in storage.list_names(folder) if shard_of("listing", name) is not None]
    if not names:
        raise FileNotFoundError(errno.ENOENT, "there is no listing", folder)
    totals = _Totals()
    for _ in totals.counted(_stored_batches([storage.join(folder, name) for name in names], images_per_shard)):
        pass
    return totals.listing(images_per_shard)


def _stored_batches(uris: list[str], images_per_shard: int) -> Iterator[pa.RecordBatch]:
    shorter = False
    for uri in uris:
        data = pa.BufferReader(storage.read_bytes(uri))
        try:
            parquet = pq.ParquetFile(data, page_checksum_verification=True)
            for group in range(parquet.num_row_groups):
                rows = _as_listing(parquet.read_row_group(group, use_threads=False))
                if shorter or len(rows) > images_per_shard:
                    raise ValueError(f"{uri} is not cut into shards of {images_per_shard} images")
                shorter = len(rows) < images_per_shard
                yield from rows.combine_chunks().to_batches()
        except OSError as error:  # of Arrow, about the content: storage has answered
            raise pa.ArrowInvalid(f"{uri}: {error}") from error


def _as_listing(rows: pa.Table) -> pa.Table:
    kept = list(rows.schema.field("kept").type) if "kept" in rows.column_names else []
    return rows.cast(with_kept(LISTING, kept))


def _file_name(number: int) -> str:
    return f"{number:06d}.parquet"


def _limited(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    if limit is None:
        yield from batches
        return
    for batch in batches:
        yield batch[:limit]
        limit -= len(batch)
        if limit <= 0:
            return


def _shards(batches: Iterator[pa.RecordBatch], images_per_shard: int) -> Iterator[pa.Table]:
    """Tables of exactly `images_per_shard` rows; the last may be shorter."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + len(batch) >= images_per_shard:
            missing = images_per_shard - rows
            waiting.append(batch[:missing])
            # Without this the writer would make a page per batch, and the bytes depend on them.
            yield _as_listing(pa.Table.from_batches(waiting)).combine_chunks()
            waiting, rows = [], 0
            batch = batch[missing:]
        if len(batch):
            waiting.append(batch)
            rows += len(batch)
    if rows:
        yield _as_listing(pa.Table.from_batches(waiting)).combine_chunks()


class _Totals:
    """Counts and hashes rows as they pass, column by column: lengths, nulls and bytes apart.

    A column's streams are the same however its rows are cut into batches, and no two different
    columns have the same streams.
    """

    def __init__(self) -> None:
        self._images = 0
        self._captions = 0
        self._streams: dict[str, hashlib._Hash] = {}

    def counted(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._images += len(batch)
            self._captions += pc.sum(pc.list_value_length(batch["captions"])).as_py() or 0
            for name in batch.schema.names:
                self._hash(name, batch[name])
            yield batch

    def listing(self, images_per_shard: int) -> Listing:
        whole = hashlib.sha256()
        for name, stream in sorted(self._streams.items()):
            whole.update(f"{name} {stream.hexdigest()}\n".encode())
        return Listing(
            images=self._images,
            captions=self._captions,
            shards=-(-self._images // images_per_shard),
            sha256=whole.hexdigest(),
        )

    def _hash(self, name: str, values: pa.Array) -> None:
        if pa.types.is_list(values.type):
            self._update(f"{name}.counts", pc.list_value_length(values))
            self._hash(f"{name}.items", pc.list_flatten(values))
            return
        if pa.types.is_struct(values.type):
            for index, inner in enumerate(values.type):
                self._hash(f"{name}.{inner.name}", pc.struct_field(values, [index]))
            return
        self._update(f"{name}.valid", pc.is_valid(values).cast(pa.int8()))
        if pa.types.is_string(values.type):
            self._update(f"{name}.lengths", pc.binary_length(pc.fill_null(values, "")))
            joined = pa.ListArray.from_arrays([0, len(values)], pc.fill_null(values, ""))
            self._stream(f"{name}.bytes").update(pc.binary_join(joined, "")[0].as_buffer() if len(values) else b"")
        else:
            self._update(f"{name}.values", pc.fill_null(values, pa.scalar(0).cast(values.type)))

    def _update(self, stream: str, numbers: pa.Array) -> None:
        self._stream(stream).update(np.ascontiguousarray(numbers.to_numpy(zero_copy_only=False)).data)

    def _stream(self, name: str) -> "hashlib._Hash":
        return self._streams.setdefault(name, hashlib.sha256())
