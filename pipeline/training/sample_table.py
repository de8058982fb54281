"""The table of a run's samples: what it learns from, and what it is validated on."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.training.hard_negatives import NEGATIVES, HardNegatives
from pipeline.training.selection import Selection

WEIGHT = "weight"
"""The column of weights; it is there only if pairs count differently."""


_BESIDE = ("quality_sha256", "verified_sha256")


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
    noun dictionary<string> (sorted), held_out bool; if pairs count differently, weight float64, above 0, of mean 1 over
    the training samples and null for those that are held out; with hard negatives, negatives list<string>. `noun` is
    the text: with `data.text: phrase` a phrase."""
    quality_sha256: str | None = None
    """SHA-256 over the SHA-256 of all tables of quality in the order of their shards, if `p_right` was used."""
    verified_sha256: str | None = None
    """The same of all tables of second opinions, if columns of verifiers were used."""
    selection: Selection | None = field(default=None, compare=False)
    """What remained of the dataset; None of samples that were read back."""

    @property
    def beside(self) -> dict[str, str]:
        """By name the digests of what was used beside manifests."""
        return {name: digest for name in _BESIDE if (digest := getattr(self, name))}

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the keys and nouns of all samples, in order, which of them are held out, their weights, and
        their hard negatives."""
        names = ["key", "noun", "held_out", *(name for name in (WEIGHT, NEGATIVES) if name in self.table.column_names)]
        columns = (self.table[name].to_pylist() for name in names)
        digest = hashlib.sha256()
        for row in zip(*columns, strict=True):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    @cached_property
    def nouns(self) -> list[str]:
        """The nouns of all samples, sorted; the noun of a row is an index into them."""
        return self.table["noun"].chunk(0).dictionary.to_pylist()

    @cached_property
    def hard_negatives(self) -> HardNegatives | None:
        """The hard negatives of the training samples; None: there are none."""
        if NEGATIVES not in self.table.column_names:
            return None
        return HardNegatives.of(self.table[NEGATIVES], self.table["noun"].chunk(0).dictionary)

    @property
    def texts(self) -> list[str]:
        """All texts that regions are compared with: the nouns, and hard negatives that are none."""
        return self.nouns + (self.hard_negatives.texts if self.hard_negatives else [])

    @cached_property
    def noun_of_row(self) -> np.ndarray:
        """Per row the index of its noun, int64 [N]."""
        return self.table["noun"].chunk(0).indices.to_numpy().astype(np.int64)

    @cached_property
    def weight_of_row(self) -> np.ndarray | None:
        """Per row how much it counts in the loss, float32 [N], 1 where it is held out; None: all count the same."""
        if WEIGHT not in self.table.column_names:
            return None
        return pc.fill_null(self.table[WEIGHT], 1.0).to_numpy().astype(np.float32)

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
        about |= self.beside
        storage.write_table(self.table.replace_schema_metadata({"samples": json.dumps(about)}), uri)

    @classmethod
    def read(cls, uri: str) -> Self:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError, OSError, pa.ArrowInvalid: as `storage.read_table`.
        """
        table = storage.read_table(uri)
        about = json.loads(table.schema.metadata[b"samples"])
        nouns_sorted = with_sorted_nouns(table)
        beside = {name: about.get(name) for name in _BESIDE}
        return cls(about["dataset"], about["manifest_sha256"], about["skipped"], nouns_sorted, **beside)


def with_sorted_nouns(table: pa.Table) -> pa.Table:
    """One chunk a column, and the nouns encoded by their index into the sorted nouns.

    The dictionary that Parquet hands back has an order of its own, but the index of a noun must not depend on it.
    """
    nouns = table["noun"].cast(pa.string()).combine_chunks()
    known = pc.unique(nouns)
    known = known.take(pc.array_sort_indices(known))
    encoded = pa.DictionaryArray.from_arrays(pc.index_in(nouns, known), known)
    return table.set_column(table.schema.get_field_index("noun"), "noun", encoded).combine_chunks()
