"""Re-reading every checksum of a dataset, and making damaged shards due again."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import UserError
from pipeline.layout import Layout

_WHOLE_DATASET = ("config.yaml", "vocabulary.parquet")


@dataclass(frozen=True)
class Damage:
    """A file that is missing or not what it was."""

    file: str
    """Path inside the output directory."""
    reason: str

    @property
    def shard(self) -> int | None:
        """The shard it belongs to; None for a file of the whole dataset."""
        stem = PurePosixPath(self.file).stem
        return int(stem) if stem.isdigit() else None


def verify(output: str) -> list[Damage]:
    """Re-read every file of every committed shard and compare sizes and SHA-256.

    The checksums of a shard's files are in its manifest; those of the manifests and of the whole dataset's files
    are in `dataset.json`, once it is there.

    Raises:
        UserError: there is no dataset.
        OSError: storage cannot be read, which says nothing about the dataset.
    """
    layout = Layout(output)
    if not storage.exists(layout.config):
        raise UserError(f"{output}: no config.yaml, so no dataset of this program")
    try:
        expected = json.loads(storage.read_bytes(layout.dataset))["files"]
    except FileNotFoundError:
        expected = {}
    except (json.JSONDecodeError, KeyError) as error:
        return [Damage("dataset.json", f"unreadable: {error}")]
    known = {int(PurePosixPath(file).stem) for file in expected if file.startswith("manifests/")}
    with ThreadPoolExecutor(8) as pool:
        shards = sorted(layout.committed() | known)
        damages = [
            damage
            for found in pool.map(lambda shard: list(_check_shard(layout, shard, expected)), shards)
            for damage in found
        ]
    for file in _WHOLE_DATASET:
        if file in expected:
            damages.extend(check_file(layout, file, expected[file]))
    return damages


def _check_shard(layout: Layout, shard: int, expected: dict) -> Iterator[Damage]:
    manifest = layout.table("manifests", shard).removeprefix(layout.path("")).lstrip("/")
    if manifest in expected:
        found = list(check_file(layout, manifest, expected[manifest]))
        if found:
            yield from found
            return
    try:
        data = pa.BufferReader(storage.read_bytes(layout.path(manifest)))
    except FileNotFoundError:
        yield Damage(manifest, "missing")
        return
    try:
        files = json.loads(pq.read_schema(data).metadata[b"files"])
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError, OSError) as error:
        yield Damage(manifest, f"unreadable: {error}")
        return
    for file, checksum in files.items():
        yield from check_file(layout, file, checksum)


def check_file(layout: Layout, file: str, expected: dict) -> Iterator[Damage]:
    """Compare a file of a dataset with its expected `sha256` and `bytes`; yields at most one damage."""
    try:
        digest, size = storage.sha256(layout.path(file))
    except FileNotFoundError:
        yield Damage(file, "missing")
        return
    if size != expected["bytes"]:
        yield Damage(file, f"{size} bytes instead of {expected['bytes']}")
    elif digest != expected["sha256"]:
        yield Damage(file, "content differs from its checksum")


def repair(output: str, damages: list[Damage]) -> list[int]:
    """Make the damaged shards due again: the next mining run writes them anew. Gives their numbers.

    Raises:
        UserError: `config.yaml` is damaged, so that nothing says what the dataset was made with.
    """
    layout = Layout(output)
    if any(damage.file == "config.yaml" for damage in damages):
        raise UserError(f"{layout.config} is damaged and cannot be made again; mine into another directory")
    shards = sorted({damage.shard for damage in damages if damage.shard is not None})
    if damages:
        # Otherwise the dataset would still call itself complete.
        storage.remove(layout.dataset)
    for shard in shards:
        storage.remove(layout.table("manifests", shard))
    for damage in damages:
        # The captions table is input to the shard: a damaged one must not be read again.
        storage.remove(layout.path(damage.file))
    return shards
