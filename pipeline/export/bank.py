"""A bank of mined regions: their CLIP embeddings and nouns, which segmentation asks beside CLIP (`pipeline/bank`)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.bank.description import BankClip, BankDescription, BankFile, BankRegions, Segment
from pipeline.bank.segments import (
    file_of,
    read_if_there,
    segment_name,
    with_segment,
    without_segment,
    write_description,
)
from pipeline.bank.tables import entries_schema, nouns_schema, vectors, write_arrow
from pipeline.clip.config import TemplateSet
from pipeline.clip.embedding_cache import EmbeddingCache
from pipeline.clip.loading import load_clip
from pipeline.clip.model import Clip
from pipeline.clip.text import TextEmbedder
from pipeline.configuration import limits
from pipeline.configuration.paths import refuse_secrets
from pipeline.dataset.manifests import Manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.execution.progress import Progress
from pipeline.export.bank_source import BankSettings, dataset_clip, dataset_regions
from pipeline.export.opening import open_pairs
from pipeline.export.region_vectors import StoredRegion, region_vectors
from pipeline.regions.config import RegionsConfig
from pipeline.training.config import DataConfig
from pipeline.training.samples import Samples, select_samples

_COLUMNS = ["key", "noun", "image_id", "image_uri", "image_sha256", "shard", "tar_offset", "tar_length"]
_NOUNS_AT_ONCE = 256


@dataclass(frozen=True)
class BankExport:
    """What a bank holds, and what was done for it."""

    entries: int
    """Of all datasets."""
    datasets: int
    added: int
    """Shards that were encoded."""
    before: int
    """Shards that were there, from an earlier run."""
    without_sha256: int
    """Images in it that were never a file."""
    complete: bool
    """False while one of the datasets is still being mined: what is committed was exported."""


def export_bank(outputs: Sequence[str], to: str, settings: BankSettings) -> BankExport:
    """Add mined datasets to a bank, which is made if it is not there. A dataset that is in it is brought up to date.

    Goes on shard by shard: the same call after any failure encodes what is missing. `bank.json` is written when a
    dataset is whole, so that readers see the bank with it or without it. One export at a time may write into a bank.

    Args:
        outputs: the datasets, any fsspec URIs.
        to: the folder of the bank, any fsspec URI.

    Raises:
        UserError: there is no dataset, it is damaged or has no pair; the bank is of another CLIP or regions, or `to` is
            no bank or cannot be written.
        OSError: storage cannot be read or written.
    """
    refuse_secrets("--to", to)
    limits.check(settings.regions or RegionsConfig(), "regions")
    datasets = [open_pairs(output) for output in outputs]
    storage.check_writable(to, "--to")
    bank = read_if_there(to, "--to")
    clip, config = dataset_clip(datasets[0], bank, settings)
    loaded = load_clip(*config, device=settings.device)
    described = _description(loaded, config, _regions(datasets[0], bank, settings), settings.templates)
    bank = _continued(to, bank, described)
    if clip is not None and clip != loaded.weights_sha256():
        raise UserError(
            f"{datasets[0].layout.uri}: the CLIP that matched it was {config[0]}, which has other weights now; name a "
            "CLIP with --clip.architecture and --clip.weights"
        )
    added = before = 0
    for dataset in datasets:
        _check_context(dataset, bank.regions)
        writer = _SegmentWriter(to, dataset, loaded, bank, settings)
        bank = with_segment(bank, writer.write())
        write_description(to, bank)
        added, before = added + writer.added, before + writer.before
    return replace(_state(bank, all(dataset.complete for dataset in datasets)), added=added, before=before)


def remove_from_bank(to: str, dataset: str) -> BankExport:
    """Take a dataset out of a bank; nothing is encoded. Arguments as of `without_segment`.

    Raises:
        UserError: there is no bank, or the dataset is not in it.
        OSError: storage cannot be read or written.
    """
    bank = read_if_there(to, "--to")
    if bank is None:
        raise UserError(f"--to: {to} is no bank, so there is nothing to remove from it")
    bank = without_segment(bank, dataset)
    write_description(to, bank)
    return _state(bank, True)


def _state(bank: BankDescription, complete: bool) -> BankExport:
    entries = sum(segment.pairs for segment in bank.segments)
    unknown = sum(segment.images_without_sha256 for segment in bank.segments)
    return BankExport(entries, len(bank.segments), 0, 0, unknown, complete)


def _description(
    clip: Clip, config: tuple[str | None, str | None], regions: RegionsConfig, templates: TemplateSet
) -> BankDescription:
    size, mean, std = clip.input.size, list(clip.input.mean), list(clip.input.std)
    of = BankClip(*config, clip.vision_weights_sha256(), clip.text_weights_sha256(), size, mean, std)
    width = int(TextEmbedder(clip, "none")(["thing"]).shape[1])
    return BankDescription(of, width, templates, BankRegions(regions.fill, regions.expand), [])


def _continued(to: str, bank: BankDescription | None, described: BankDescription) -> BankDescription:
    """The bank that is there, if it was made with the same CLIP and settings; or the new one.

    Raises:
        UserError: it was made with others.
    """
    if bank is None:
        return described
    # Where the CLIP lay is no matter: its hashes say which it is.
    there, now = (
        {**asdict(one), "clip": {**asdict(one.clip), "architecture": None, "weights": None}, "segments": None}
        for one in (bank, described)
    )
    if differing := [f"{name}: {there[name]} → {now[name]}" for name in there if there[name] != now[name]]:
        raise UserError(
            f"--to: {to} is a bank of another CLIP or other regions; differences (there → now): "
            f"{'; '.join(differing)}. Use the same settings, or another folder"
        )
    return bank


def _regions(dataset: MinedDataset, bank: BankDescription | None, settings: BankSettings) -> RegionsConfig:
    if settings.regions:
        return settings.regions
    if bank:
        return RegionsConfig(bank.regions.fill, bank.regions.expand)  # type: ignore[arg-type]  # checked where it is used
    return dataset_regions(dataset)


def _check_context(dataset: MinedDataset, regions: BankRegions) -> None:
    shards = dataset.description["configuration"].get("shards")
    context = shards.get("context", 1.0) if isinstance(shards, dict) else 1.0
    if isinstance(context, int | float) and regions.expand > context:
        raise UserError(
            f"--regions.expand: {regions.expand:g} shows more than {dataset.layout.uri} stores (shards.context: "
            f"{context:g}); use at most that, or mine with a larger shards.context"
        )


class _SegmentWriter:
    """Writes the files of one dataset, those that are not there."""

    def __init__(self, to: str, dataset: MinedDataset, clip: Clip, bank: BankDescription, settings: BankSettings):
        self._to, self._dataset, self._clip, self._bank, self._settings = to, dataset, clip, bank, settings
        fingerprint, uri = dataset.description["fingerprint"], storage.absolute(dataset.layout.uri)
        self._segment = segment_name(fingerprint, uri)
        self._uri, self._fingerprint = uri, fingerprint
        self.added = self.before = 0

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
