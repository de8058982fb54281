"""The samples of a training run: what the manifests of a mined dataset list, filtered, and split by image."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.configuration import limits
from pipeline.dataset.files import CONTENT_DIFFERS, Damage, check_file, listed_files, size_differs
from pipeline.dataset.folds import fold_of
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, parse_manifest
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.storage.documents import DamagedFileError
from pipeline.storage.in_threads import in_threads
from pipeline.training.condition import filter_pairs
from pipeline.training.config import DataConfig

_COLUMNS = ["key", "shard", "image_id", "noun", "tar_offset", "tar_length"]
_CHECKSUM = "crc32"
"""Datasets of an older version have none; they are trained on all the same."""


@dataclass(frozen=True)
class Samples:
    """The samples of a run, sorted by key; a sample is known by its row."""

    dataset: str
    """URI of the mined dataset."""
    manifest_sha256: str
    """SHA-256 over the SHA-256 of all manifests in the order of their shards."""
    skipped_shards: list[int]
    """Shards that `data.skip_damaged` left out."""
    table: pa.Table
    """key string, shard int32, tar_offset int64, tar_length int64, crc32 uint32 (null in datasets of older versions),
    noun dictionary<string> (sorted), held_out bool."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the keys and nouns of all samples, in order, and which of them are held out."""
        columns = (self.table[name].to_pylist() for name in ("key", "noun", "held_out"))
        digest = hashlib.sha256()
        for row in zip(*columns, strict=True):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    @cached_property
    def nouns(self) -> list[str]:
        """The nouns of all samples, sorted; the noun of a row is an index into them."""
        return self.table["noun"].chunk(0).dictionary.to_pylist()

    @cached_property
    def noun_of_row(self) -> np.ndarray:
        """Per row the index of its noun, int64 [N]."""
        return self.table["noun"].chunk(0).indices.to_numpy().astype(np.int64)

    @cached_property
    def train(self) -> np.ndarray:
        """Rows of the training samples, int64."""
        return np.flatnonzero(~self.table["held_out"].to_numpy())

    @cached_property
    def held_out(self) -> np.ndarray:
        """Rows of the samples of held-out images, int64."""
        return np.flatnonzero(self.table["held_out"].to_numpy())

    def key(self, row: int) -> str:
        """Key of a sample in its tar."""
        return self.table["key"][row].as_py()

    def write(self, uri: str) -> None:
        """Write everything into one Parquet file."""
        about = {"dataset": self.dataset, "manifest_sha256": self.manifest_sha256, "skipped": self.skipped_shards}
        storage.write_table(self.table.replace_schema_metadata({"samples": json.dumps(about)}), uri)

    @classmethod
    def read(cls, uri: str) -> Self:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError, OSError, pa.ArrowInvalid: as `storage.read_table`.
        """
        table = storage.read_table(uri)
        about = json.loads(table.schema.metadata[b"samples"])
        return cls(about["dataset"], about["manifest_sha256"], about["skipped"], _with_sorted_nouns(table))


def select_samples(dataset: str, config: DataConfig) -> Samples:
    """The samples of a mined dataset that `config` asks for.

    All manifests are read; of the tars, only whether they are there and have the right size (with
    `config.skip_damaged`: every byte).

    Raises:
        UserError: no mined dataset, one without pairs or of an older version, a damaged one, a condition that DuckDB
            refuses or that no pair fulfils, a setting out of range.
        OSError: storage cannot be read.
    """
    limits.check(config, "data")
    if config.fold is not None and config.fold >= config.folds:
        raise UserError(
            f"data.fold is {config.fold}, but there are data.folds = {config.folds}, which count from 0: give one "
            "below that, or more folds"
        )
    opened = open_mined_dataset(dataset, "dataset")
    opened.check_begun()
    layout = opened.layout
    columns = schemas.MANIFEST.names if config.where else [*_COLUMNS, _CHECKSUM]
    manifests, damages = _read_manifests(opened, [name for name in columns if name not in _COLUMNS])
    _check_damages(dataset, damages, config)
    pairs = pa.concat_tables(
        [schemas.MANIFEST.empty_table().select(columns), *(manifest.table.select(columns) for manifest in manifests)]
    )
    if not len(pairs):
        raise UserError(f"dataset: the {len(manifests)} readable shards of {dataset} hold no pair to train on")
    if config.where:
        pairs = filter_pairs(pairs, config.where)
    used = set(pairs["shard"].unique().to_pylist())
    tars = {
        file: expected
        for manifest in manifests
        if manifest.shard in used
        for file, expected in manifest.files.items()
        if file.startswith("shards/")
    }
    _check_cache(dataset, [expected["bytes"] for expected in tars.values()], config)
    damages += _check_tars(layout, tars, whole=config.skip_damaged)
    _check_damages(dataset, damages, config)
    skipped = sorted({damage.shard for damage in damages if damage.shard is not None})  # each is of a shard
    pairs = pairs.filter(pc.invert(pc.is_in(pairs["shard"], pa.array(skipped, pa.int32()))))
    if not len(pairs):
        raise UserError(f"dataset: all shards of {dataset} with pairs to train on are damaged; mine them again")
    digest = hashlib.sha256()
    for manifest in manifests:
        assert manifest.sha256 is not None  # it was read whole
        digest.update(manifest.sha256.encode())
    return Samples(dataset, digest.hexdigest(), skipped, _sample_table(pairs, config))


def _read_manifests(dataset: MinedDataset, optional: list[str]) -> tuple[list[Manifest], list[Damage]]:
    """The manifests that can be read, in the order of their shards, and what is wrong with the others."""
    checksums = listed_files(dataset.layout)  # none while mining is not complete: what is committed can be trained on
    listed = [Damage(file, "missing") for file in checksums if file.startswith("manifests/")]
    manifests: list[Manifest] = []
    damages = [damage for damage in listed if damage.shard not in dataset.shards]
    for read in in_threads(lambda shard: _read_manifest(dataset.layout, shard, optional, checksums), dataset.shards):
        if isinstance(read, Damage):
            damages.append(read)
        else:
            manifests.append(read)
    return manifests, damages


def _read_manifest(layout: Layout, shard: int, optional: list[str], checksums: dict) -> Manifest | Damage:
    uri = layout.table("manifests", shard)
    file = layout.relative(uri)
    try:
        data = storage.read_bytes(uri)
        if file in checksums and checksums[file]["sha256"] != hashlib.sha256(data).hexdigest():
            return Damage(file, CONTENT_DIFFERS)
        return parse_manifest(data, layout, shard, _COLUMNS, optional)
    except FileNotFoundError:
        return Damage(file, "missing")
    except DamagedFileError as error:
        return Damage(file, f"unreadable: {error}")


def _check_cache(dataset: str, shard_bytes: list[int], config: DataConfig) -> None:
    """Without room for the shards that are mixed with one another, nearly every sample would fetch its shard anew."""
    mixed = config.shuffle_shards or len(shard_bytes)
    needed = sum(sorted(shard_bytes)[-mixed:])
    if not storage.is_local(dataset) and needed > config.cache_gb * 1e9:
        fitting = int(config.cache_gb * 1e9 // max(shard_bytes))
        raise UserError(
            f"data.cache_gb: {config.cache_gb:g} is too little for {min(mixed, len(shard_bytes))} shards of {dataset}, "
            f"which are mixed with one another and have {needed / 1e9:.3g} GB; "
            + (f"raise it, or set data.shuffle_shards to at most {fitting}" if fitting else "raise it")
        )


def _check_damages(dataset: str, damages: list[Damage], config: DataConfig) -> None:
    if not damages or config.skip_damaged:
        return
    listed = first_of([f"{damage.file}: {damage.reason}" for damage in damages], 5, separator="; ")
    raise UserError(
        f"dataset: {len(damages)} files of {dataset} are damaged or missing: {listed}. See python -m jobs.inspect "
        f"{dataset} --verify; mine them again, or leave their shards out with data.skip_damaged"
    )


def _check_tars(layout: Layout, tars: dict[str, dict], whole: bool) -> list[Damage]:
    """Compare tars with what their manifests say: sizes, and with `whole` their content."""

    def check_size(file: str) -> Iterable[Damage]:
        expected = tars[file]["bytes"]
        try:
            size = storage.size(layout.path(file))
        except FileNotFoundError:
            return [Damage(file, "missing")]
        return [] if size == expected else [Damage(file, size_differs(size, expected))]

    def check_content(file: str) -> Iterable[Damage]:
        return check_file(layout, file, tars[file])

    found = in_threads(lambda file: list((check_content if whole else check_size)(file)), sorted(tars))
    return [damage for damages in found for damage in damages]


def _sample_table(pairs: pa.Table, config: DataConfig) -> pa.Table:
    pairs = pairs.sort_by("key").combine_chunks()
    held_out = _per_image(pairs, lambda image: is_held_out(image, config.held_out_share))
    table = pairs.select(["key", "shard", "tar_offset", "tar_length", _CHECKSUM, "noun"]).append_column(
        "held_out", held_out
    )
    if config.fold is not None:
        of_fold = _per_image(pairs, lambda image: fold_of(image, config.folds) == config.fold)
        table = table.filter(pc.or_(held_out, of_fold))
    return _with_sorted_nouns(table.replace_schema_metadata(None))


def _per_image(pairs: pa.Table, holds: Callable[[str], bool]) -> pa.Array:
    """Per pair whether something holds for its image, bool."""
    images = pairs["image_id"].unique()
    held = pa.array([holds(image) for image in images.to_pylist()], pa.bool_())
    return held.take(pc.index_in(pairs["image_id"], images).combine_chunks())


def is_held_out(image_id: str, share: float) -> bool:
    """Whether an image is kept from training: spread evenly, and the same in every run."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8]) / 2**64 < share


def _with_sorted_nouns(table: pa.Table) -> pa.Table:
    """One chunk a column, and the nouns encoded by their index into the sorted nouns.

    The dictionary that Parquet hands back has an order of its own, but the index of a noun must not depend on it.
    """
    nouns = table["noun"].cast(pa.string()).combine_chunks()
    known = pc.unique(nouns)
    known = known.take(pc.array_sort_indices(known))
    encoded = pa.DictionaryArray.from_arrays(pc.index_in(nouns, known), known)
    return table.set_column(table.schema.get_field_index("noun"), "noun", encoded).combine_chunks()
