"""Hugging Face `datasets`: a folder with a Parquet file a shard and a card, which `load_dataset(folder)` reads.

A row is a pair: the stored crop with its background, its mask, and the columns of the manifest. Images lie in the
Parquet files as the bytes that the shards hold, not encoded again.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.manifests import Manifest
from pipeline.dataset.sample import DamagedSampleError, damaged_sample, read_range, unpack
from pipeline.errors import UserError
from pipeline.export.card import dataset_card, datasets_schema
from pipeline.export.opening import open_pairs
from pipeline.storage.in_threads import in_threads

# Row groups of this size keep memory small here, and show quickly in the Hub's viewer.
_ROWS_AT_ONCE = 100
_SHARDS_AT_ONCE = 4

# In the Parquet metadata: which manifest a file was made from.
_MANIFEST = b"manifest_sha256"


@dataclass(frozen=True)
class DatasetsExport:
    """What was written."""

    pairs: int
    shards: int
    shards_before: int
    """Shards of these that an earlier export had written."""
    complete: bool
    """False while the dataset is still being mined: what is committed was exported."""


def export_datasets(output: str, to: str) -> DatasetsExport:
    """Write a mined dataset as a folder for Hugging Face `datasets`.

    Every file appears whole and the card last; the same call after any failure carries on, and redoes the shards that
    have changed since. Takes the memory of some hundred crops, and the local disk for four shards.

    Args:
        output: the dataset, any fsspec URI.
        to: the folder to write, any fsspec URI.

    Raises:
        UserError: there is no dataset, it is damaged or has no pair; `to` cannot be written, or holds something else.
        OSError: storage cannot be read or written.
    """
    pairs = open_pairs(output)
    storage.check_writable(to, "--to")
    data = storage.join(to, "data")
    names = {shard: f"{stem(shard)}.parquet" for shard in pairs.shards}
    others = set(storage.list_names(data)) - set(names.values())
    if others:
        raise UserError(
            f"--to: {data} holds {min(others)}, which is not of this dataset but would be loaded with it; "
            "choose another folder"
        )
    card = storage.join(to, "README.md")
    if not storage.list_names(data) and storage.exists(card):
        raise UserError(f"--to: {card} is there already, but no export of this dataset; choose another folder")
    storage.remove_leftovers(data)
    present = set(storage.list_names(data))

    def export(manifest: Manifest) -> tuple[int, bool]:
        target = storage.join(data, names[manifest.shard])
        was_there = names[manifest.shard] in present and _made_from(target) == manifest.sha256
        if not was_there:
            _write(pairs.layout, manifest, target)
        return len(manifest.table), was_there

    rows = before = 0
    for count, was_there in in_threads(export, pairs.manifests(schemas.MANIFEST.names), _SHARDS_AT_ONCE):
        rows += count
        before += was_there
    if not rows:
        raise UserError(f"{output}: the dataset has no pair, so there is nothing to export")
    storage.write_bytes(card, dataset_card(pairs, rows).encode())
    return DatasetsExport(rows, len(pairs.shards), before, pairs.complete)


def _made_from(uri: str) -> str | None:
    """SHA-256 of the manifest that a file was made from; None for a file that says nothing of it."""
    try:
        with storage.open_input(uri) as file:
            return (pq.read_schema(file).metadata or {}).get(_MANIFEST, b"").decode()
    except pa.ArrowInvalid:
        return None


def _write(layout: Layout, manifest: Manifest, target: str) -> None:
    schema = datasets_schema()
    schema = schema.with_metadata({**schema.metadata, _MANIFEST: manifest.sha256})
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for start in range(0, len(manifest.table), _ROWS_AT_ONCE):
                rows = manifest.table.slice(start, _ROWS_AT_ONCE).to_pylist()
                writer.write_table(pa.Table.from_pylist(list(_with_pictures(layout, manifest.shard, rows)), schema))
        file.flush()
        storage.upload(file.name, target)


def _with_pictures(layout: Layout, shard: int, rows: list[dict]) -> Iterator[dict]:
    """Rows with the crops and masks of their samples, which lie one after the other in the tar."""
    begin, end = rows[0]["tar_offset"], rows[-1]["tar_offset"] + rows[-1]["tar_length"]
    data = read_range(layout, shard, begin, end)
    for row in rows:
        start, length = row["tar_offset"] - begin, row["tar_length"]
        try:
            members = unpack(data[start : start + length], row["key"], length)
            files = {
                column: {"bytes": members[kind], "path": members.name(kind)}
                for column, kind in (("image", "jpg"), ("mask", "mask.png"))
            }
        except DamagedSampleError as error:
            raise damaged_sample(layout, shard, row["tar_offset"], error) from error
        yield row | files
