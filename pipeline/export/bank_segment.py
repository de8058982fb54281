"""The segment of one dataset in a bank: its files, of which those that are there are not made again."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.bank.description import BankDescription, BankFile, Segment
from pipeline.bank.segments import file_of, segment_name
from pipeline.bank.tables import entries_schema, nouns_schema, vectors, write_arrow
from pipeline.clip.embedding_cache import EmbeddingCache
from pipeline.clip.model import Clip
from pipeline.clip.text import TextEmbedder
from pipeline.dataset.manifests import Manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.execution.progress import Progress
from pipeline.export.bank_source import BankSettings
from pipeline.export.region_vectors import StoredRegion, region_vectors
from pipeline.regions.config import RegionsConfig
from pipeline.training.config import DataConfig
from pipeline.training.samples import Samples, select_samples

_COLUMNS = ["key", "noun", "image_id", "image_uri", "image_sha256", "shard", "tar_offset", "tar_length"]
_NOUNS_AT_ONCE = 256


class SegmentWriter:
    """Writes the files of one dataset, those that are not there."""

    def __init__(self, to: str, dataset: MinedDataset, clip: Clip, bank: BankDescription, settings: BankSettings):
        self._to, self._dataset, self._clip, self._bank, self._settings = to, dataset, clip, bank, settings
        self._uri = storage.absolute(dataset.layout.uri)
        self._fingerprint = dataset.description["fingerprint"]
        self._segment = segment_name(self._fingerprint, self._uri)
        self.added = 0
        """Shards that were encoded."""
        self.before = 0
        """Shards that were there."""

    def write(self) -> Segment:
        """Encode what is missing.

        Raises:
            UserError: a pair is damaged, or none is left.
        """
        samples = self._samples()
        progress = Progress("bank", len(samples.table), "pairs")
        files: list[BankFile] = []
        images: dict[str, bool] = {}
        try:
            for manifest in self._dataset.manifests([*_COLUMNS, "crc32"]):
                chosen = _chosen(manifest, samples)
                if len(chosen):
                    files.append(self._entries(manifest, chosen))
                    shas = zip(chosen["image_id"].to_pylist(), chosen["image_sha256"].to_pylist(), strict=True)
                    images.update({image: bool(sha) for image, sha in shas})
                    progress.advance(len(chosen))
        finally:
            progress.close()
        nouns = self._nouns(samples.nouns)
        pairs, unknown = sum(file.rows for file in files), list(images.values()).count(False)
        return Segment(
            self._segment, self._uri, self._fingerprint, samples.manifest_sha256, self._settings.where, pairs,
            len(images), unknown, nouns, files,
        )  # fmt: skip

    def _samples(self) -> Samples:
        data = DataConfig(where=self._settings.where, held_out_share=0.0, cache_gb=float("inf"))
        try:
            return select_samples(self._dataset.layout.uri, data)
        except UserError as error:
            raise UserError(str(error).replace("data.where", "--where")) from error

    def _made_of(self, **more: Any) -> dict:
        bank = self._bank
        clip = {**asdict(bank.clip), "architecture": None, "weights": None, "autocast": str(self._clip.autocast_dtype)}
        return {"clip": clip, "width": bank.width, **more}

    def _entries(self, manifest: Manifest, chosen: pa.Table) -> BankFile:
        made_of = self._made_of(
            regions=asdict(self._bank.regions), manifest=manifest.sha256, keys=chosen["key"].to_pylist()
        )
        file = file_of(self._segment, manifest.shard, made_of)
        if there := self._there(file, len(chosen)):
            self.before += 1
            return there
        stored = [
            StoredRegion(row["key"], row["tar_offset"], row["tar_length"], row["crc32"])
            for row in chosen.select(["key", "tar_offset", "tar_length", "crc32"]).to_pylist()
        ]
        regions = RegionsConfig(self._bank.regions.fill, self._bank.regions.expand)  # type: ignore[arg-type]
        features_ND = region_vectors(
            self._dataset.layout, manifest.shard, stored, self._clip, regions, self._settings.batch_size
        )
        self.added += 1
        return self._written(file, chosen.select(_COLUMNS), features_ND, entries_schema(self._bank.width))

    def _nouns(self, nouns: list[str]) -> BankFile:
        file = file_of(self._segment, "nouns", self._made_of(nouns=nouns, templates=self._bank.templates))
        if there := self._there(file, len(nouns)):
            return there
        embed = TextEmbedder(self._clip, self._settings.templates, EmbeddingCache.of(self._clip))
        parts = [embed(nouns[at : at + _NOUNS_AT_ONCE]).numpy() for at in range(0, len(nouns), _NOUNS_AT_ONCE)]
        table = pa.table({"noun": pa.array(nouns, pa.string())})
        return self._written(file, table, np.concatenate(parts), nouns_schema(self._bank.width))

    def _written(self, file: str, table: pa.Table, vectors_ND: np.ndarray, schema: pa.Schema) -> BankFile:
        if not np.isfinite(vectors_ND).all():
            raise UserError(
                f"{self._uri}: the embeddings of some regions or nouns are not numbers; the weights of the CLIP are "
                "damaged"
            )
        table = table.append_column("embedding", vectors(vectors_ND)).replace_schema_metadata(None)
        return write_arrow(pa.Table.from_arrays(table.columns, names=table.column_names).cast(schema), self._to, file)

    def _there(self, file: str, rows: int) -> BankFile | None:
        try:
            sha256, size = storage.sha256(storage.join(self._to, file))
        except FileNotFoundError:
            return None
        return BankFile(file, rows, size, sha256)


def _chosen(manifest: Manifest, samples: Samples) -> pa.Table:
    """The rows of a manifest that are among the samples, in its order."""
    table = samples.table
    keys = table["key"].filter(pa.compute.equal(table["shard"], manifest.shard))
    return manifest.table.filter(pa.compute.is_in(manifest.table["key"], keys.combine_chunks()))
