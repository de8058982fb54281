"""Hugging Face `datasets`: a folder with a Parquet file a shard and a card, which `load_dataset(folder)` reads.

A row is a pair: the stored crop with its background, its mask, and the columns of the manifest. Images lie in the
Parquet files as the bytes that the shards hold, not encoded again.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.dataset.manifests import Manifest
from pipeline.dataset.sample import DamagedSampleError, damaged_sample, read_range, unpack
from pipeline.errors import UserError
from pipeline.export.card import dataset_card, datasets_schema
from pipeline.export.dataset_folder import dataset_folder
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
    described: str
    """Where it is, for people."""
    load: str
    """The arguments of `datasets.load_dataset` that read it."""


def export_datasets(output: str, to: str, private: bool | None = None) -> DatasetsExport:
    """Write a mined dataset as a folder for Hugging Face `datasets`, or into a dataset on the hub.

    Every file appears whole and the card last; the same call after any failure carries on, and redoes the shards that
    have changed since. Takes the memory of some hundred crops, and the local disk for four shards; for the hub, which
    gets many files in one commit, for 4 GiB.

    Args:
        output: the dataset, any fsspec URI.
        to: the folder to write, any fsspec URI; or hf://datasets/ORG/NAME[@BRANCH].
        private: whether a dataset on the hub is to be private. None: if it has to be made; one that is there stays
            what it is.

    Raises:
        UserError: there is no dataset, it is damaged or has no pair; `to` cannot be written, or holds something else.
        OSError: storage cannot be read or written.
    """
    pairs = open_pairs(output)
    names = {shard: f"{stem(shard)}.parquet" for shard in pairs.shards}
    folder = dataset_folder(to, private, len(names))
    present = folder.names()
    if others := present - set(names.values()):
        raise UserError(
            f"--to: {folder.uri()} holds {min(others)}, which is not of this dataset but would be loaded with it; "
            "choose another folder"
        )
    if not present and folder.has_card():
        raise UserError(f"--to: {to} has a README.md already, but no export of this dataset; choose another folder")
    folder.clean()
    rows = before = 0
    with tempfile.TemporaryDirectory() as local:

        def export(manifest: Manifest) -> tuple[int, bool]:
            name = names[manifest.shard]
            was_there = name in present and _made_from(folder.uri(name)) == manifest.sha256
            if not was_there:
                file = Path(local) / name
                _write(pairs.layout, manifest, file)
                folder.put(name, file)
            return len(manifest.table), was_there

        for count, was_there in in_threads(export, pairs.manifests(schemas.MANIFEST.names), _SHARDS_AT_ONCE):
            rows += count
            before += was_there
        if not rows:
            raise UserError(f"{output}: the dataset has no pair, so there is nothing to export")
        folder.finish(dataset_card(pairs, rows, folder.name))
    return DatasetsExport(rows, len(pairs.shards), before, pairs.complete, folder.described, folder.load)


def _made_from(uri: str) -> str | None:
    """SHA-256 of the manifest that a file was made from; None for a file that says nothing of it."""
    try:
        with storage.open_input(uri) as file:
            return (pq.read_schema(file).metadata or {}).get(_MANIFEST, b"").decode()
    except pa.ArrowInvalid:
        return None


def _write(layout: Layout, manifest: Manifest, file: Path) -> None:
    schema = datasets_schema()
    schema = schema.with_metadata({**schema.metadata, _MANIFEST: manifest.sha256})
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(manifest.table), _ROWS_AT_ONCE):
            rows = manifest.table.slice(start, _ROWS_AT_ONCE).to_pylist()
            writer.write_table(pa.Table.from_pylist(list(_with_pictures(layout, manifest.shard, rows)), schema))


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
